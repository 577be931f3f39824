"""PDF: text in reading order, rows of tables, page labels, titles; headers and footers left out."""

__all__ = ["layout", "loader", "raw"]
