"""OpenAI's endpoints."""

__all__ = [
    "chat_completions",
    "completions",
    "embeddings",
    "extensions",
    "files",
    "models",
    "responses",
    "tools",
    "vector_store_files",
    "vector_stores",
]
