"""Language models, embedding models, rerankers: names become objects here and nowhere else."""

__all__ = [
    "benchmark",
    "chat_template",
    "embedding",
    "embedding_base",
    "llm",
    "models_file",
    "openai",
    "privacy",
    "registry",
    "reranker",
    "vision",
]
