"""An answer as the chat shows it: stream, footnotes, claims, votes."""
