"""A question becomes ranked, explained hits."""

__all__ = ["retriever"]
