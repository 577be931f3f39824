"""OpenAI's endpoints."""

__all__ = [
    "chat_completions",
    "completions",
    "conversations",
    "embeddings",
    "extensions",
    "files",
    "models",
    "responses",
    "tools",
    "uploads",
    "vector_store_files",
    "vector_stores",
]
