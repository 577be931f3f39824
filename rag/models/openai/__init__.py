"""Language models behind an OpenAI-compatible server."""

__all__ = ["chunks", "client", "discovery", "retries"]
