"""The catalog's tables in PostgreSQL: the same as in SQLite (see sqlite_schema.py), and the functions that it lacks.

Texts have the collation "C", so that they are ordered as in SQLite. A lock of its own keeps writers apart, so nothing
here depends on how PostgreSQL isolates transactions.
"""

from __future__ import annotations

BASE_VERSION = 12  # of sqlite_schema.py, which the tables below are
# From there on, one for each of SQLite's.
MIGRATIONS: tuple[str, ...] = (
    """
    ALTER TABLE jobs ADD COLUMN runner text COLLATE "C" NOT NULL DEFAULT '';
    ALTER TABLE jobs ADD COLUMN stop bigint NOT NULL DEFAULT 0;
    CREATE TABLE runners (id text COLLATE "C" PRIMARY KEY, seen_at bigint NOT NULL);
    """,
)

# What SQLite has by these names; not strict where the planner is to look into them, which is ten times as fast. NUL may
# be written in JSON, but PostgreSQL reads no such JSON: it becomes U+FFFD.
_FUNCTIONS = r"""
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

_TABLES = """
    CREATE TABLE principals (
        id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, created_at TEXT NOT NULL,
        password TEXT NOT NULL DEFAULT '', is_admin INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE collections (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, owner_id TEXT NOT NULL REFERENCES principals, created_at TEXT NOT NULL,
        label TEXT, description TEXT, metadata TEXT NOT NULL DEFAULT '{}', expires_days INTEGER, active_at TEXT,
        is_public INTEGER NOT NULL DEFAULT 0, ROWID,
        UNIQUE (owner_id, name)
    );
    CREATE TABLE files (
        id TEXT PRIMARY KEY, owner_id TEXT NOT NULL REFERENCES principals, sha256 TEXT NOT NULL, name TEXT NOT NULL,
        size INTEGER NOT NULL, created_at TEXT NOT NULL, purpose TEXT NOT NULL DEFAULT '', expires_at TEXT,
        key_id TEXT NOT NULL DEFAULT '', ROWID
    );
    CREATE INDEX files_by_sha256 ON files (sha256);
    CREATE TABLE documents (
        id TEXT PRIMARY KEY, collection_id TEXT NOT NULL REFERENCES collections,
        owner_id TEXT NOT NULL REFERENCES principals, file_id TEXT REFERENCES files,
        source TEXT NOT NULL, title TEXT NOT NULL, content TEXT NOT NULL, media_type TEXT NOT NULL,
        sha256 TEXT NOT NULL, size INTEGER NOT NULL, modified_ns INTEGER NOT NULL, fingerprint TEXT NOT NULL,
        version INTEGER NOT NULL, status TEXT NOT NULL, pages INTEGER NOT NULL, chunks INTEGER NOT NULL,
        error TEXT NOT NULL, hint TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
        attributes TEXT NOT NULL DEFAULT '{}', chunking TEXT, ROWID,
        UNIQUE (collection_id, source)
    );
    CREATE INDEX documents_by_sha256 ON documents (sha256);
    CREATE INDEX documents_by_file ON documents (file_id);
    CREATE TABLE sections (
        document_id TEXT NOT NULL REFERENCES documents ON DELETE CASCADE, number INTEGER NOT NULL,
        page_index INTEGER, label TEXT, text TEXT NOT NULL, heading TEXT NOT NULL, record_id TEXT,
        PRIMARY KEY (document_id, number)
    );
    CREATE TABLE chunks (
        document_id TEXT NOT NULL REFERENCES documents ON DELETE CASCADE, version INTEGER NOT NULL,
        number INTEGER NOT NULL, page_index INTEGER, page_label TEXT, heading TEXT NOT NULL, record_id TEXT,
        start INTEGER NOT NULL, "end" INTEGER NOT NULL, text TEXT NOT NULL, vector_id TEXT NOT NULL,
        PRIMARY KEY (document_id, version, number)
    );
    CREATE INDEX chunks_by_vector ON chunks (vector_id, document_id, version, number);
    CREATE TABLE names (
        token TEXT NOT NULL, document_id TEXT NOT NULL REFERENCES documents ON DELETE CASCADE,
        PRIMARY KEY (token, document_id)
    );
    CREATE INDEX names_by_document ON names (document_id);
    CREATE TABLE unfinished (
        document_id TEXT NOT NULL, version INTEGER NOT NULL, collection_id TEXT NOT NULL,
        PRIMARY KEY (document_id, version)
    );
    CREATE TABLE loose_vectors (
        collection_id TEXT NOT NULL, vector_id TEXT NOT NULL, PRIMARY KEY (collection_id, vector_id)
    );
    CREATE TABLE staged (
        document_id TEXT PRIMARY KEY REFERENCES documents ON DELETE CASCADE, version INTEGER NOT NULL,
        title TEXT NOT NULL, fingerprint TEXT NOT NULL, chunks INTEGER NOT NULL
    );
    CREATE TABLE properties (name TEXT PRIMARY KEY, value TEXT NOT NULL);
    INSERT INTO properties VALUES ('revision', '0');
    CREATE TABLE jobs (
        id TEXT PRIMARY KEY, owner_id TEXT NOT NULL REFERENCES principals, collection TEXT NOT NULL,
        file_id TEXT NOT NULL REFERENCES files, state TEXT NOT NULL, starts INTEGER NOT NULL, report TEXT NOT NULL,
        created_at TEXT NOT NULL, updated_at TEXT NOT NULL, attributes TEXT NOT NULL DEFAULT '{}', chunking TEXT, ROWID
    );
    CREATE INDEX jobs_by_state ON jobs (state);
    CREATE INDEX jobs_by_file ON jobs (file_id);
    CREATE TABLE attachments (
        collection_id TEXT NOT NULL REFERENCES collections ON DELETE CASCADE,
        file_id TEXT NOT NULL REFERENCES files ON DELETE CASCADE,
        job_id TEXT NOT NULL, created_at TEXT NOT NULL, ROWID,
        UNIQUE (collection_id, file_id)
    );
    CREATE INDEX attachments_by_job ON attachments (job_id);
    CREATE INDEX attachments_by_file ON attachments (file_id);
    CREATE TABLE batches (
        id TEXT PRIMARY KEY, collection_id TEXT NOT NULL REFERENCES collections ON DELETE CASCADE,
        created_at TEXT NOT NULL
    );
    CREATE TABLE batch_jobs (
        batch_id TEXT NOT NULL REFERENCES batches ON DELETE CASCADE, job_id TEXT NOT NULL, file_id TEXT NOT NULL,
        PRIMARY KEY (batch_id, file_id)
    );
    CREATE INDEX batch_jobs_by_job ON batch_jobs (job_id);
    CREATE TABLE responses (
        id TEXT PRIMARY KEY, owner_id TEXT NOT NULL REFERENCES principals, body TEXT NOT NULL, input TEXT NOT NULL,
        messages TEXT NOT NULL, documents TEXT NOT NULL, created_at TEXT NOT NULL, key_id TEXT NOT NULL DEFAULT '',
        ROWID
    );
    CREATE INDEX responses_by_owner ON responses (owner_id, rowid);
    CREATE TABLE votes (
        id TEXT PRIMARY KEY, owner_id TEXT NOT NULL REFERENCES principals, question TEXT NOT NULL,
        answers TEXT NOT NULL, passages TEXT NOT NULL, chosen TEXT, created_at TEXT NOT NULL, ROWID
    );
    CREATE TABLE keys (
        id TEXT PRIMARY KEY, principal_id TEXT NOT NULL REFERENCES principals ON DELETE CASCADE, name TEXT NOT NULL,
        prefix TEXT NOT NULL, digest TEXT NOT NULL UNIQUE, collections TEXT, read_only INTEGER NOT NULL,
        created_at TEXT NOT NULL, expires_at TEXT, used_at TEXT, ROWID
    );
    CREATE TABLE shares (
        collection_id TEXT NOT NULL REFERENCES collections ON DELETE CASCADE,
        principal_id TEXT NOT NULL REFERENCES principals ON DELETE CASCADE,
        PRIMARY KEY (collection_id, principal_id)
    );
    CREATE TABLE conversations (
        id TEXT PRIMARY KEY, owner_id TEXT NOT NULL REFERENCES principals, title TEXT NOT NULL,
        settings TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL
    );
    CREATE INDEX conversations_by_owner ON conversations (owner_id, updated_at);
    CREATE TABLE steps (
        number INTEGER GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, id TEXT NOT NULL UNIQUE,
        conversation_id TEXT NOT NULL REFERENCES conversations ON DELETE CASCADE,
        parent_id TEXT, type TEXT NOT NULL, text TEXT NOT NULL, body TEXT NOT NULL
    );
    CREATE INDEX steps_by_conversation ON steps (conversation_id, number);
    CREATE INDEX steps_by_parent ON steps (parent_id);
    CREATE TABLE readings (
        document_id TEXT NOT NULL, question_id TEXT NOT NULL REFERENCES steps (id) ON DELETE CASCADE,
        PRIMARY KEY (document_id, question_id)
    );
    CREATE INDEX readings_by_question ON readings (question_id);
    CREATE TABLE elements (
        id TEXT PRIMARY KEY, step_id TEXT NOT NULL REFERENCES steps (id) ON DELETE CASCADE, body TEXT NOT NULL, ROWID
    );
    CREATE INDEX elements_by_step ON elements (step_id);
    CREATE TABLE feedback (
        id TEXT PRIMARY KEY, step_id TEXT NOT NULL UNIQUE REFERENCES steps (id) ON DELETE CASCADE,
        is_good INTEGER NOT NULL, comment TEXT NOT NULL, created_at TEXT NOT NULL, ROWID
    );
    CREATE TABLE preferences (
        owner_id TEXT PRIMARY KEY REFERENCES principals ON DELETE CASCADE, settings TEXT NOT NULL
    );
    CREATE TABLE former_places (
        list TEXT NOT NULL, id TEXT NOT NULL, place INTEGER NOT NULL, ROWID UNIQUE, PRIMARY KEY (list, id)
    );
    CREATE FUNCTION note_former_place(list text, id text, place bigint) RETURNS void LANGUAGE sql AS $$
        INSERT INTO former_places (list, id, place) VALUES ($1, $2, $3)
        ON CONFLICT (list, id) DO UPDATE SET place = excluded.place, rowid = excluded.rowid
    $$;
    CREATE FUNCTION former_places_are_few() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN DELETE FROM former_places WHERE rowid <= NEW.rowid - 10000; RETURN NULL; END
    $$;
    CREATE TRIGGER former_places_are_few AFTER INSERT ON former_places
    FOR EACH ROW EXECUTE FUNCTION former_places_are_few();
"""
_PLACES = {  # of which table → its list, the id there, and the place
    "files": ("'files'", "OLD.id", "OLD.rowid"),
    "collections": ("'collections'", "OLD.id", "OLD.rowid"),
    "attachments": ("OLD.collection_id", "OLD.file_id", "OLD.rowid"),
    "documents": ("OLD.collection_id", "coalesce(OLD.file_id, OLD.id)", "4611686018427387904 + OLD.rowid"),
}


def base_schema() -> str:
    """The script that makes all tables of `BASE_VERSION`."""
    types = {
        "ROWID": "rowid BIGINT NOT NULL GENERATED BY DEFAULT AS IDENTITY",
        " TEXT": ' text COLLATE "C"',
        " INTEGER": " bigint",
    }
    tables = _TABLES
    for ours, theirs in types.items():
        tables = tables.replace(ours, theirs)
    triggers = "".join(
        f"CREATE FUNCTION {table}_deleted() RETURNS trigger LANGUAGE plpgsql AS $$ "
        f"BEGIN PERFORM note_former_place({', '.join(place)}); RETURN NULL; END $$;"
        f"CREATE TRIGGER {table}_deleted AFTER DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_deleted();"
        for table, place in _PLACES.items()
    )
    return _FUNCTIONS + tables + triggers
