"""Language models behind a server: OpenAI's protocol, and two others that are read as if they were it."""

__all__ = ["chunks", "client", "discovery", "retries"]
