"""How a child process of Python is started: it imports nothing from the working folder, which may be anybody's, and
sees no keys and no proxies."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import rag

# All that a child sees of the environment: enough to find Python and the libraries.
_PASSED_ON = ("PATH", "PYTHONHOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "LC_ALL", "SYSTEMROOT")


def module_command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module with this Python; `-P` keeps the working folder out of where it imports from."""
    return [sys.executable, "-P", "-m", module, *arguments]


def bare_environment(**added: str) -> dict[str, str]:
    """The variables that such a command needs to find our packages and the libraries, and those that are `added`."""
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    folders = [str(Path(rag.__path__[0]).parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {**passed_on, **added, "PYTHONPATH": os.pathsep.join(filter(None, folders))}  # empty: the working folder
