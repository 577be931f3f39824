"""Questions over whole tables (spreadsheets, CSV) are computed: see answer.py."""

__all__ = ["answer", "table"]
