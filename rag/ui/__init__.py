"""The chat, its settings, the library page."""
