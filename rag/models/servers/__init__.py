"""Embedding models and rerankers behind a server."""

__all__ = ["embedding", "identity", "reranker", "tokenizing"]
