"""OpenAI's endpoints."""

__all__ = [
    "chat_completions",
    "completions",
    "conversations",
    "embeddings",
    "files",
    "models",
    "responses",
    "uploads",
    "vector_store_files",
    "vector_stores",
]
