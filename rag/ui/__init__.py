"""The chat, its settings, the library page."""

__all__ = ["mount"]
