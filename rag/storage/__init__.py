"""The catalog: every document, chunk, upload, conversation and vote, in SQLite or PostgreSQL; blobs and locks."""
