"""Measuring retrieval and answers on the user's own documents: `rag eval`."""
