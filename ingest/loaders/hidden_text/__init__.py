"""Text that a format holds and no reader sees, found so that no model is told it as the document's own words."""

__all__ = ["docx", "html", "look", "opendocument", "pdf", "pptx", "rtf"]
