"""The `rag` command."""

__all__ = ["main", "runner"]
