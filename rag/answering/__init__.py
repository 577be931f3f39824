"""Hits become an answer that is cited and checked."""

__all__ = ["context", "engine", "event_stream", "history", "message_kinds", "modes", "personas", "prompts"]
