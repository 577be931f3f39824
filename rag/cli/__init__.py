"""The `rag` command; the program begins in ingest/cli.py, which adds what writes."""

__all__ = ["main", "runner"]
