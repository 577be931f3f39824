"""Drops `former_places` of the last schema before Alembic: the lists' cursors compare keys now."""

from __future__ import annotations

from alembic import op

from rag.storage.migrations import refuse_older_programs

revision = "0001"
down_revision = None

_NOTED = ("file", "collection", "attachment", "document")


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.drop_table("former_places")
        op.execute("DROP FUNCTION former_places_are_few()")
        for item in _NOTED:
            op.execute(f"DROP FUNCTION {item}s_deleted() CASCADE")
        op.execute("DROP FUNCTION note_former_place(text, text, bigint)")
        op.drop_table("schema_version")
    else:
        for item in _NOTED:
            op.execute(f"DROP TRIGGER IF EXISTS {item}_deleted")
        op.execute("DROP TABLE IF EXISTS former_places")
        op.create_index("attachments_by_file", "attachments", ["file_id"])
    refuse_older_programs(op.get_bind())
