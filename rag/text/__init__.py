"""Text as it is searched, counted and made safe: words, tokens, hidden characters, signs of prompt injection."""

__all__ = [
    "analysis",
    "codes",
    "injection",
    "languages",
    "marker_context",
    "markers",
    "right_to_left",
    "tokenizers",
    "unicode",
]
