"""Vectors, words and catalog as one transactional thing."""

__all__ = ["chroma_server", "dense", "index", "integrity", "repair", "vector_copy"]
