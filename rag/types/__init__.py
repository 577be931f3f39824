"""The values that every room may use: documents, answers, models, turns of a conversation, reports of the write side."""

__all__ = ["chat", "documents", "ingest", "models"]
