"""Archives: exports and backups of one form, written whole, checked whole, read back."""

__all__ = ["format", "import_", "reader", "restore", "writer"]
