"""Whether the passages bear out what an answer says."""

__all__ = ["claims"]
