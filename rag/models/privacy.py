"""Keeps libraries from telling others that they are used, and from writing down what is none of their business."""

from __future__ import annotations

import ctypes
import sys

_M_PERTURB = -6  # of glibc's malloc.h


def silence_openvino() -> None:
    """To be called before OpenVINO is imported.

    From that moment it reports its use over the network and writes into the home folder, unless the package that does
    so is missing. Here it always is.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


def overwrite_freed_memory() -> None:
    """Have the C library overwrite memory as it is freed; where it cannot (other than glibc), nothing happens.

    Chroma writes files with room to spare, in which stands what the memory held before: a document that was removed
    must not get back onto the disk that way.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_M_PERTURB, 0xFF)
