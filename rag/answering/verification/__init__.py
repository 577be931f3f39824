"""Whether the passages bear out what an answer says."""
