"""OpenAI's endpoints."""

__all__ = [
    "chat_completions",
    "completions",
    "embeddings",
    "files",
    "models",
    "responses",
    "vector_store_files",
    "vector_stores",
]
