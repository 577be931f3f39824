"""Adds `response_conversations` and `response_items`, the conversations of the Responses API, and `uploads`."""

from __future__ import annotations

import sqlalchemy
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    whole = sqlalchemy.BigInteger().with_variant(sqlalchemy.INTEGER(), "sqlite")
    owner = ("owner_id", "principals.id", None)
    op.create_table(
        "response_conversations",
        _text("id", primary_key=True),
        _reference(*owner),
        _text("key_id", server_default=""),
        _text("metadata"),
        _text("created_at"),
        *_rowid(),
        sqlite_strict=True,
    )
    op.create_index("response_conversations_by_owner", "response_conversations", ["owner_id"])
    op.create_table(
        "response_items",
        _text("id", primary_key=True),
        _reference("conversation_id", "response_conversations.id", "CASCADE"),
        _text("body"),
        _text("documents"),
        *_rowid(),
        sqlite_strict=True,
    )
    op.create_index("response_items_by_conversation", "response_items", ["conversation_id"])
    op.create_table(
        "uploads",
        _text("id", primary_key=True),
        _reference(*owner),
        _text("key_id", server_default=""),
        _text("name"),
        _text("purpose"),
        sqlalchemy.Column("size", whole, nullable=False),
        sqlalchemy.Column("file_seconds", whole, nullable=True),
        _text("created_at"),
        _text("expires_at"),
        sqlite_strict=True,
    )


def _rowid() -> list[sqlalchemy.Column[int]]:
    if op.get_bind().dialect.name == "sqlite":
        return []
    return [sqlalchemy.Column("rowid", sqlalchemy.BigInteger(), sqlalchemy.Identity(), nullable=False)]


def _text(name: str, *constraints: sqlalchemy.ForeignKey, **options: object) -> sqlalchemy.Column[str]:
    kind = sqlalchemy.TEXT().with_variant(sqlalchemy.TEXT(collation="C"), "postgresql")
    return sqlalchemy.Column(name, kind, *constraints, nullable=False, **options)  # type: ignore[arg-type]


def _reference(name: str, target: str, on_delete: str | None) -> sqlalchemy.Column[str]:
    return _text(name, sqlalchemy.ForeignKey(target, ondelete=on_delete))
