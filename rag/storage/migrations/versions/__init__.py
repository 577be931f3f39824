"""The revisions of the tables, each a file; the last one is `REVISION` of the package above."""
