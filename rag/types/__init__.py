"""The values that every room may use: documents, answers, models, turns of a conversation, reports of writing."""

__all__ = ["chat", "documents", "ingest", "models"]
