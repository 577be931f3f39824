"""An answer as the chat shows it: stream, footnotes, claims, votes."""

__all__ = ["footnotes", "resume", "stream", "voting"]
