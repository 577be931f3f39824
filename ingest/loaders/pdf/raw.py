"""Functions of pdfium, called with plain addresses: pypdfium2's own bindings take three times as long."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any


@cache
def pdfium_function(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    """The function of that name: its first argument is an address, `arguments` are the types of the others."""
    import pypdfium2.raw

    prototype = ctypes.PYFUNCTYPE(result, ctypes.c_void_p, *arguments)
    return prototype(ctypes.cast(getattr(pypdfium2.raw, name), ctypes.c_void_p).value or 0)
