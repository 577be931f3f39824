"""The catalog's tables, the same in SQLite and in PostgreSQL. Who changes them adds a revision to `migrations/`.

Texts are ordered by their characters in both (PostgreSQL: collation "C"), truth is 0 or 1, times are ISO 8601 (UTC),
and objects and lists are JSON. `rowid` tells what was added first: SQLite has it by itself, except where a table is
declared without.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    INTEGER,
    TEXT,
    BigInteger,
    Column,
    ForeignKey,
    Identity,
    Index,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    text,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateColumn
from sqlalchemy.sql.compiler import DDLCompiler


def _reference(index: Index, table: Table) -> str:
    """What the first column of an index names: `file` where that is `file_id`."""
    return index.columns[0].name.removesuffix("_id")


metadata = MetaData(naming_convention={"reference": _reference, "ix": "%(table_name)s_by_%(reference)s"})
revisions = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))

_TEXT = TEXT().with_variant(TEXT(collation="C"), "postgresql")
_INTEGER = BigInteger().with_variant(INTEGER(), "sqlite")


@compiles(CreateColumn, "sqlite")
def _create_column(create: CreateColumn, compiler: DDLCompiler, **options: Any) -> str | None:
    """SQLite has `rowid` without being told."""
    if create.element.name == "rowid":
        return None
    specification: str | None = compiler.visit_create_column(create, **options)  # type: ignore[no-untyped-call]
    return specification


def _text(name: str, *constraints: ForeignKey, default: str | None = None, **options: Any) -> Column[str]:
    return Column(name, _TEXT, *constraints, server_default=default, **{"nullable": False, **options})


def _integer(name: str, *, default: int | None = None, **options: Any) -> Column[int]:
    expression = None if default is None else text(str(default))
    return Column(name, _INTEGER, server_default=expression, **{"nullable": False, **options})


def _texts(*names: str, **options: Any) -> list[Column[str]]:
    return [_text(name, **options) for name in names]


def _integers(*names: str, **options: Any) -> list[Column[int]]:
    return [_integer(name, **options) for name in names]


def _rowid() -> Column[int]:
    return Column("rowid", _INTEGER, Identity(), nullable=False)


def _of(table: str, *, cascade: bool = False) -> ForeignKey:
    return ForeignKey(f"{table}.id", ondelete="CASCADE" if cascade else None)


def _table(name: str, *parts: Any, with_rowid: bool = True) -> Table:
    return Table(name, metadata, *parts, sqlite_strict=True, sqlite_with_rowid=with_rowid)


# ------------------------------------------------------------------------------------------- users and what they own

principals = _table(
    "principals",
    _text("id", primary_key=True),
    _text("name", unique=True),
    _text("created_at"),
    _text("password", default=""),  # as a hash, like the keys
    _integer("is_admin", default=0),
)
keys = _table(
    "keys",
    _text("id", primary_key=True),
    _text("principal_id", _of("principals", cascade=True)),
    *_texts("name", "prefix"),
    _text("digest", unique=True),
    _text("collections", nullable=True),
    _integer("read_only"),
    _text("created_at"),
    *_texts("expires_at", "used_at", nullable=True),
    _rowid(),
)
sessions = _table(
    "sessions",
    _text("digest", primary_key=True),
    _text("principal_id", _of("principals", cascade=True), index=True),
    *_texts("created_at", "expires_at"),
    with_rowid=False,
)
collections = _table(
    "collections",
    _text("id", primary_key=True),
    _text("name"),
    _text("owner_id", _of("principals")),
    _text("created_at"),
    *_texts("label", "description", nullable=True),
    _text("metadata", default="{}"),
    _integer("expires_days", nullable=True),
    _text("active_at", nullable=True),
    _integer("is_public", default=0),
    _rowid(),
    UniqueConstraint("owner_id", "name"),
)
shares = _table(
    "shares",
    _text("collection_id", _of("collections", cascade=True), primary_key=True),
    _text("principal_id", _of("principals", cascade=True), primary_key=True),
    with_rowid=False,
)
preferences = _table(
    "preferences",
    _text("owner_id", _of("principals", cascade=True), primary_key=True),
    _text("settings"),
)

# ------------------------------------------------------------------------------------------- documents and their text

files = _table(
    "files",
    _text("id", primary_key=True),
    _text("owner_id", _of("principals")),
    _text("sha256", index=True),
    _text("name"),
    _integer("size"),
    _text("created_at"),
    _text("purpose", default=""),
    _text("expires_at", nullable=True),
    _text("key_id", default=""),
    _rowid(),
)
documents = _table(
    "documents",
    _text("id", primary_key=True),
    _text("collection_id", _of("collections")),
    _text("owner_id", _of("principals")),
    _text("file_id", _of("files"), nullable=True, index=True),
    *_texts("source", "title", "content", "media_type"),
    _text("sha256", index=True),
    *_integers("size", "modified_ns"),
    _text("fingerprint"),
    _integer("version"),
    _text("status"),
    *_integers("pages", "chunks"),
    *_texts("error", "hint", "created_at", "updated_at"),
    _text("attributes", default="{}"),  # that the user gives them: see attributes.py
    _text("chunking", nullable=True),  # how they are to be cut, where somebody says so
    _rowid(),
    UniqueConstraint("collection_id", "source"),
)
# Sections and chunks have row ids: without, SQLite keeps whole rows in the inner nodes of a tree that gets three times
# as deep.
sections = _table(
    "sections",
    _text("document_id", _of("documents", cascade=True), primary_key=True),
    _integer("number", primary_key=True),
    _integer("page_index", nullable=True),
    _text("label", nullable=True),
    *_texts("text", "heading"),
    _text("record_id", nullable=True),
)
chunks = _table(
    "chunks",
    _text("document_id", _of("documents", cascade=True), primary_key=True),
    *_integers("version", "number", primary_key=True),
    _integer("page_index", nullable=True),
    _text("page_label", nullable=True),
    _text("heading"),
    _text("record_id", nullable=True),
    *_integers("start", "end"),
    _text("text"),
    _text("vector_id"),  # made from what was embedded, so that equal chunks share one
    Index("chunks_by_vector", "vector_id", "document_id", "version", "number"),
)
names = _table(
    "names",
    _text("token", primary_key=True),
    _text("document_id", _of("documents", cascade=True), primary_key=True, index=True),
    with_rowid=False,
)
unfinished = _table(
    "unfinished",
    _text("document_id", primary_key=True),
    _integer("version", primary_key=True),
    _text("collection_id"),
    with_rowid=False,
)
loose_vectors = _table("loose_vectors", *_texts("collection_id", "vector_id", primary_key=True), with_rowid=False)
staged = _table(
    "staged",
    _text("document_id", _of("documents", cascade=True), primary_key=True),
    _integer("version"),
    *_texts("title", "fingerprint"),
    _integer("chunks"),
    with_rowid=False,
)
properties = _table("properties", _text("name", primary_key=True), _text("value"))

# ------------------------------------------------------------------------------------------------------ uploads

jobs = _table(
    "jobs",
    _text("id", primary_key=True),
    _text("owner_id", _of("principals")),
    _text("collection"),
    _text("file_id", _of("files"), index=True),
    _text("state", index=True),
    _integer("starts"),
    *_texts("report", "created_at", "updated_at"),
    _text("attributes", default="{}"),
    _text("chunking", nullable=True),
    _text("runner", default=""),  # the process that works on it
    _integer("stop", default=0),
    _rowid(),
)
uploads = _table(  # whose parts are still to come: these are files with the upload's id as purpose
    "uploads",
    _text("id", primary_key=True),
    _text("owner_id", _of("principals")),
    _text("key_id", default=""),
    *_texts("name", "purpose"),
    _integer("size"),
    _integer("file_seconds", nullable=True),  # that the file is to stay, from when it is complete
    *_texts("created_at", "expires_at"),
)
runners = _table("runners", _text("id", primary_key=True), _integer("seen_at"))  # in seconds since 1970
attachments = _table(
    "attachments",
    _text("collection_id", _of("collections", cascade=True)),
    _text("file_id", _of("files", cascade=True), index=True),
    _text("job_id", index=True),
    _text("created_at"),
    _rowid(),
    UniqueConstraint("collection_id", "file_id"),
)
batches = _table(
    "batches",
    _text("id", primary_key=True),
    _text("collection_id", _of("collections", cascade=True)),
    _text("created_at"),
)
batch_jobs = _table(
    "batch_jobs",
    _text("batch_id", _of("batches", cascade=True), primary_key=True),
    _text("job_id", index=True),
    _text("file_id", primary_key=True),
    with_rowid=False,
)

# ------------------------------------------------------------------------------------------ what was said and answered

responses = _table(
    "responses",
    _text("id", primary_key=True),
    _text("owner_id", _of("principals")),
    *_texts("body", "input", "messages", "documents", "created_at"),
    _text("key_id", default=""),
    _rowid(),
)
Index("responses_by_owner", responses.c.owner_id, responses.c.rowid).ddl_if(dialect="postgresql")  # SQLite has no such
response_conversations = _table(
    "response_conversations",
    _text("id", primary_key=True),
    _text("owner_id", _of("principals"), index=True),
    _text("key_id", default=""),
    *_texts("metadata", "created_at"),
    _rowid(),
)
response_items = _table(
    "response_items",
    _text("id", primary_key=True),
    _text("conversation_id", _of("response_conversations", cascade=True), index=True),
    *_texts("body", "documents"),
    _rowid(),
)
votes = _table(
    "votes",
    _text("id", primary_key=True),
    _text("owner_id", _of("principals")),
    *_texts("question", "answers", "passages"),
    _text("chosen", nullable=True),
    _text("created_at"),
    _rowid(),
)
conversations = _table(
    "conversations",
    _text("id", primary_key=True),
    _text("owner_id", _of("principals")),
    *_texts("title", "settings", "created_at", "updated_at"),
    Index("conversations_by_owner", "owner_id", "updated_at"),
)
steps = _table(
    "steps",
    Column("number", _INTEGER, Identity(), primary_key=True),
    _text("id", unique=True),
    _text("conversation_id", _of("conversations", cascade=True)),
    _text("parent_id", nullable=True, index=True),
    _text("type"),
    _text("text"),  # what the step says
    _text("body"),
    Index("steps_by_conversation", "conversation_id", "number"),
)
readings = _table(
    "readings",
    _text("document_id", primary_key=True),
    _text("question_id", _of("steps", cascade=True), primary_key=True, index=True),
    with_rowid=False,
)
elements = _table(
    "elements",
    _text("id", primary_key=True),
    _text("step_id", _of("steps", cascade=True), index=True),
    _text("body"),
    _rowid(),
)
feedback = _table(
    "feedback",
    _text("id", primary_key=True),
    _text("step_id", _of("steps", cascade=True), unique=True),
    _integer("is_good"),
    *_texts("comment", "created_at"),
    _rowid(),
)

# What SQLite has by these names; not strict where the planner is to look into them, which is ten times as fast. NUL may
# be written in JSON, but PostgreSQL reads no such JSON: it becomes U+FFFD.
POSTGRES_FUNCTIONS = r"""
    CREATE FUNCTION readable_json(text) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT CASE WHEN position('\u0000' IN $1) = 0 THEN $1
            ELSE regexp_replace($1, '(?<!\\)((?:\\\\)*)\\u0000', '\1\\ufffd', 'g') END::json
    $$;
    CREATE FUNCTION sqlite_type(json) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT CASE json_typeof($1) WHEN 'string' THEN 'text' WHEN 'boolean' THEN $1::text
            WHEN 'number' THEN CASE WHEN $1::text ~ '[.eE]' THEN 'real' ELSE 'integer' END ELSE json_typeof($1) END
    $$;
    CREATE FUNCTION json_each(text) RETURNS TABLE (key text, value text, type text)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 20 AS $$
        SELECT e.key, e.value #>> '{}', sqlite_type(e.value)
        FROM pg_catalog.json_each(CASE WHEN left($1, 1) = '[' THEN '{}' ELSE readable_json($1) END) e
        UNION ALL SELECT (e.place - 1)::text, e.item #>> '{}', sqlite_type(e.item)
        FROM json_array_elements(CASE WHEN left($1, 1) = '[' THEN readable_json($1) ELSE '[]' END)
        WITH ORDINALITY e (item, place)
    $$;
    CREATE FUNCTION json_extract(text, text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
        SELECT readable_json($1) #>> string_to_array(substr($2, 3), '.')
    $$;
    CREATE FUNCTION json_remove(text, VARIADIC text[]) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
        SELECT coalesce(json_object_agg(e.key, e.value), '{}')::text FROM pg_catalog.json_each(readable_json($1)) e
        WHERE '$.' || e.key <> ALL ($2)
    $$;
    CREATE FUNCTION json_of_array(text[]) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT array_to_json($1)::text
    $$;
    CREATE AGGREGATE json_group_array (text) (
        SFUNC = array_append, STYPE = text[], INITCOND = '{}', FINALFUNC = json_of_array
    );
    CREATE FUNCTION unixepoch(text) RETURNS bigint LANGUAGE sql STABLE STRICT PARALLEL SAFE AS $$
        SELECT CASE WHEN $1 ~ '^\d{4}-\d\d-\d\d' THEN floor(extract(epoch FROM $1::timestamptz))::bigint END
    $$;
    CREATE FUNCTION unixepoch() RETURNS bigint LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
        SELECT floor(extract(epoch FROM clock_timestamp()))::bigint
    $$;
"""
