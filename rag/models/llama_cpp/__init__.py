"""GGUF models run by llama.cpp in this process."""

__all__ = ["client", "queue"]
