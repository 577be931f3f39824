"""Pages of PDFs as images with the quote marked, drawn in a process that may die."""

__all__ = ["highlight", "renderer", "worker"]
