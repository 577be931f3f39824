"""A question becomes ranked, explained hits."""

__all__ = ["document_names", "missing_names", "question_cues", "relevance_gate", "retriever"]
