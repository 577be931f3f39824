"""Adds `sessions`; the secret that signed them goes: it is in a file of its own now, and this one may be known."""

from __future__ import annotations

import sqlalchemy
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    text = sqlalchemy.TEXT().with_variant(sqlalchemy.TEXT(collation="C"), "postgresql")
    op.create_table(
        "sessions",
        sqlalchemy.Column("digest", text, primary_key=True, nullable=False),
        sqlalchemy.Column(
            "principal_id", text, sqlalchemy.ForeignKey("principals.id", ondelete="CASCADE"), nullable=False
        ),
        sqlalchemy.Column("created_at", text, nullable=False),
        sqlalchemy.Column("expires_at", text, nullable=False),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("sessions_by_principal", "sessions", ["principal_id"])
    op.execute("DELETE FROM properties WHERE name = 'chat_secret'")
