"""A question becomes ranked, explained hits."""

__all__ = ["document_names", "retriever"]
