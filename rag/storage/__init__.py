"""The catalog: every document, chunk, upload, conversation and vote, in SQLite or PostgreSQL; blobs and locks."""

__all__ = [
    "attributes",
    "blobs",
    "catalog",
    "connect",
    "conversations",
    "database",
    "feedback",
    "files",
    "filters",
    "ids",
    "lock",
    "name_tokens",
    "paging",
    "postgres",
    "responses",
    "rows",
    "schema",
    "selection",
    "staged_versions",
    "vector_stores",
]
