"""`python -m rag` is the command `rag`; a part of it is in `ingest`, above this package, and is found by its name."""

from __future__ import annotations

from pkgutil import resolve_name

if __name__ == "__main__":
    resolve_name("ingest.cli:rag_main")()
