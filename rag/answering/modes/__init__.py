"""What can be asked of models and documents: answer, chat, summarize, plan, route, compare."""

__all__ = ["dispatch", "request", "route"]
