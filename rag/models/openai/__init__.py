"""Language models behind an OpenAI-compatible server."""

__all__ = ["client", "discovery", "tool_calls"]
