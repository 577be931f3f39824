"""The tables as programs before Alembic made them: every version that there was, as the script that leads to it.

Nothing is added here any more. SQLite's `user_version` tells how many scripts a catalog has seen, PostgreSQL's table
`schema_version` the same, from the twelfth on.
"""

from __future__ import annotations

import sqlalchemy

# Which process works on a job, when that was last known to live (seconds since 1970), and whether the job is to stop.
_RUNNERS = """
    ALTER TABLE jobs ADD COLUMN runner TEXT NOT NULL DEFAULT '';
    ALTER TABLE jobs ADD COLUMN stop INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE runners (id TEXT PRIMARY KEY, seen_at INTEGER NOT NULL) STRICT;
"""
_RUNNERS_IN_POSTGRES = """
    ALTER TABLE jobs ADD COLUMN runner text COLLATE "C" NOT NULL DEFAULT '';
    ALTER TABLE jobs ADD COLUMN stop bigint NOT NULL DEFAULT 0;
    CREATE TABLE runners (id text COLLATE "C" PRIMARY KEY, seen_at bigint NOT NULL);
"""

SCRIPTS = (
    """
    CREATE TABLE principals (
        id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, created_at TEXT NOT NULL
    ) STRICT;
    CREATE TABLE collections (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, owner_id TEXT NOT NULL REFERENCES principals, created_at TEXT NOT NULL,
        UNIQUE (owner_id, name)
    ) STRICT;
    CREATE TABLE files (
        id TEXT PRIMARY KEY, owner_id TEXT NOT NULL REFERENCES principals, sha256 TEXT NOT NULL, name TEXT NOT NULL,
        size INTEGER NOT NULL, created_at TEXT NOT NULL
    ) STRICT;
    CREATE TABLE documents (
        id TEXT PRIMARY KEY, collection_id TEXT NOT NULL REFERENCES collections,
        owner_id TEXT NOT NULL REFERENCES principals, file_id TEXT REFERENCES files,
        source TEXT NOT NULL, title TEXT NOT NULL, content TEXT NOT NULL, media_type TEXT NOT NULL,
        sha256 TEXT NOT NULL, size INTEGER NOT NULL, modified_ns INTEGER NOT NULL, fingerprint TEXT NOT NULL,
        version INTEGER NOT NULL, status TEXT NOT NULL, pages INTEGER NOT NULL, chunks INTEGER NOT NULL,
        error TEXT NOT NULL, hint TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
        UNIQUE (collection_id, source)
    ) STRICT;
    CREATE INDEX documents_by_sha256 ON documents (sha256);
    CREATE TABLE pages (
        document_id TEXT NOT NULL REFERENCES documents ON DELETE CASCADE, number INTEGER NOT NULL,
        page_index INTEGER, label TEXT, text TEXT NOT NULL,
        PRIMARY KEY (document_id, number)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE chunks (
        document_id TEXT NOT NULL REFERENCES documents ON DELETE CASCADE, version INTEGER NOT NULL,
        number INTEGER NOT NULL, page_index INTEGER, page_label TEXT, heading TEXT NOT NULL, record_id TEXT,
        start INTEGER NOT NULL, "end" INTEGER NOT NULL, text TEXT NOT NULL,
        PRIMARY KEY (document_id, version, number)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE unfinished (
        document_id TEXT NOT NULL, version INTEGER NOT NULL, collection_id TEXT NOT NULL, chunks INTEGER NOT NULL,
        PRIMARY KEY (document_id, version)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE properties (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    INSERT INTO properties VALUES ('revision', '0');
    """,
    # Vectors get ids of their own, made from what was embedded, so that equal chunks share one; pages become sections.
    """
    ALTER TABLE unfinished DROP COLUMN chunks;
    ALTER TABLE chunks ADD COLUMN vector_id TEXT NOT NULL DEFAULT '';
    UPDATE chunks SET vector_id = document_id || ':' || version || ':' || number;
    CREATE INDEX chunks_by_vector ON chunks (vector_id);
    CREATE TABLE loose_vectors (
        collection_id TEXT NOT NULL, vector_id TEXT NOT NULL, PRIMARY KEY (collection_id, vector_id)
    ) STRICT, WITHOUT ROWID;
    ALTER TABLE pages RENAME TO sections;
    ALTER TABLE sections ADD COLUMN heading TEXT NOT NULL DEFAULT '';
    ALTER TABLE sections ADD COLUMN record_id TEXT;
    CREATE TABLE staged (
        document_id TEXT PRIMARY KEY REFERENCES documents ON DELETE CASCADE, version INTEGER NOT NULL,
        title TEXT NOT NULL, fingerprint TEXT NOT NULL, chunks INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE jobs (
        id TEXT PRIMARY KEY, owner_id TEXT NOT NULL REFERENCES principals, collection TEXT NOT NULL,
        file_id TEXT NOT NULL REFERENCES files, state TEXT NOT NULL, starts INTEGER NOT NULL, report TEXT NOT NULL,
        created_at TEXT NOT NULL, updated_at TEXT NOT NULL
    ) STRICT;
    CREATE INDEX jobs_by_state ON jobs (state);
    """,
    # Documents can be found by their names: see rag/storage/document_names.py.
    """
    CREATE TABLE names (
        token TEXT NOT NULL, document_id TEXT NOT NULL REFERENCES documents ON DELETE CASCADE,
        PRIMARY KEY (token, document_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX names_by_document ON names (document_id);
    """,
    # Attributes that the user gives to documents: see rag/storage/attributes.py. An object of JSON.
    """
    ALTER TABLE documents ADD COLUMN attributes TEXT NOT NULL DEFAULT '{}';
    """,
    # Tables with row ids: without, SQLite keeps whole rows in the inner nodes of a tree that gets three times as deep.
    """
    ALTER TABLE sections RENAME TO old_sections;
    CREATE TABLE sections (
        document_id TEXT NOT NULL REFERENCES documents ON DELETE CASCADE, number INTEGER NOT NULL,
        page_index INTEGER, label TEXT, text TEXT NOT NULL, heading TEXT NOT NULL, record_id TEXT,
        PRIMARY KEY (document_id, number)
    ) STRICT;
    INSERT INTO sections SELECT * FROM old_sections;
    DROP TABLE old_sections;
    DROP INDEX chunks_by_vector;
    ALTER TABLE chunks RENAME TO old_chunks;
    CREATE TABLE chunks (
        document_id TEXT NOT NULL REFERENCES documents ON DELETE CASCADE, version INTEGER NOT NULL,
        number INTEGER NOT NULL, page_index INTEGER, page_label TEXT, heading TEXT NOT NULL, record_id TEXT,
        start INTEGER NOT NULL, "end" INTEGER NOT NULL, text TEXT NOT NULL, vector_id TEXT NOT NULL,
        PRIMARY KEY (document_id, version, number)
    ) STRICT;
    INSERT INTO chunks SELECT * FROM old_chunks;
    DROP TABLE old_chunks;
    CREATE INDEX chunks_by_vector ON chunks (vector_id, document_id, version, number);
    """,
    # Files that stay though no document is made of them, vector stores, and which file was attached to which of them.
    """
    ALTER TABLE files ADD COLUMN purpose TEXT NOT NULL DEFAULT '';
    ALTER TABLE files ADD COLUMN expires_at TEXT;
    ALTER TABLE collections ADD COLUMN label TEXT;
    ALTER TABLE collections ADD COLUMN description TEXT;
    ALTER TABLE collections ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE collections ADD COLUMN expires_days INTEGER;
    ALTER TABLE collections ADD COLUMN active_at TEXT;
    ALTER TABLE jobs ADD COLUMN attributes TEXT NOT NULL DEFAULT '{}';
    CREATE TABLE attachments (
        collection_id TEXT NOT NULL REFERENCES collections ON DELETE CASCADE,
        file_id TEXT NOT NULL REFERENCES files ON DELETE CASCADE,
        job_id TEXT NOT NULL, created_at TEXT NOT NULL,
        UNIQUE (collection_id, file_id)
    ) STRICT;
    CREATE INDEX attachments_by_job ON attachments (job_id);
    CREATE TABLE batches (
        id TEXT PRIMARY KEY, collection_id TEXT NOT NULL REFERENCES collections ON DELETE CASCADE,
        created_at TEXT NOT NULL
    ) STRICT;
    CREATE TABLE batch_jobs (
        batch_id TEXT NOT NULL REFERENCES batches ON DELETE CASCADE, job_id TEXT NOT NULL, file_id TEXT NOT NULL,
        PRIMARY KEY (batch_id, file_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX batch_jobs_by_job ON batch_jobs (job_id);
    CREATE INDEX documents_by_file ON documents (file_id);
    CREATE INDEX files_by_sha256 ON files (sha256);
    CREATE INDEX jobs_by_file ON jobs (file_id);
    """,
    # What the Responses API keeps, so that a conversation can go on.
    """
    CREATE TABLE responses (
        id TEXT PRIMARY KEY, owner_id TEXT NOT NULL REFERENCES principals, body TEXT NOT NULL, input TEXT NOT NULL,
        messages TEXT NOT NULL, documents TEXT NOT NULL, created_at TEXT NOT NULL
    ) STRICT;
    """,
    # Which of several models' answers was the best one: see rag/storage/feedback.py. Answers and passages are JSON.
    """
    CREATE TABLE votes (
        id TEXT PRIMARY KEY, owner_id TEXT NOT NULL REFERENCES principals, question TEXT NOT NULL,
        answers TEXT NOT NULL, passages TEXT NOT NULL, chosen TEXT, created_at TEXT NOT NULL
    ) STRICT;
    """,
    # Who may what. Passwords and keys are there as hashes only.
    """
    ALTER TABLE principals ADD COLUMN password TEXT NOT NULL DEFAULT '';
    ALTER TABLE principals ADD COLUMN is_admin INTEGER NOT NULL DEFAULT 0;
    UPDATE principals SET is_admin = 1 WHERE id = 'prn_local';
    CREATE TABLE keys (
        id TEXT PRIMARY KEY, principal_id TEXT NOT NULL REFERENCES principals ON DELETE CASCADE, name TEXT NOT NULL,
        prefix TEXT NOT NULL, digest TEXT NOT NULL UNIQUE, collections TEXT, read_only INTEGER NOT NULL,
        created_at TEXT NOT NULL, expires_at TEXT, used_at TEXT
    ) STRICT;
    CREATE TABLE shares (
        collection_id TEXT NOT NULL REFERENCES collections ON DELETE CASCADE,
        principal_id TEXT NOT NULL REFERENCES principals ON DELETE CASCADE,
        PRIMARY KEY (collection_id, principal_id)
    ) STRICT, WITHOUT ROWID;
    ALTER TABLE collections ADD COLUMN is_public INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE files ADD COLUMN key_id TEXT NOT NULL DEFAULT '';
    ALTER TABLE responses ADD COLUMN key_id TEXT NOT NULL DEFAULT '';
    """,
    # The chat's conversations: see rag/storage/conversations.py. `text` is what a step says; `body` is JSON.
    """
    CREATE TABLE conversations (
        id TEXT PRIMARY KEY, owner_id TEXT NOT NULL REFERENCES principals, title TEXT NOT NULL,
        settings TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL
    ) STRICT;
    CREATE INDEX conversations_by_owner ON conversations (owner_id, updated_at);
    CREATE TABLE steps (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
        conversation_id TEXT NOT NULL REFERENCES conversations ON DELETE CASCADE,
        parent_id TEXT, type TEXT NOT NULL, text TEXT NOT NULL, body TEXT NOT NULL
    ) STRICT;
    CREATE INDEX steps_by_conversation ON steps (conversation_id, number);
    CREATE INDEX steps_by_parent ON steps (parent_id);
    CREATE TABLE readings (
        document_id TEXT NOT NULL, question_id TEXT NOT NULL REFERENCES steps (id) ON DELETE CASCADE,
        PRIMARY KEY (document_id, question_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX readings_by_question ON readings (question_id);
    CREATE TABLE elements (
        id TEXT PRIMARY KEY, step_id TEXT NOT NULL REFERENCES steps (id) ON DELETE CASCADE, body TEXT NOT NULL
    ) STRICT;
    CREATE INDEX elements_by_step ON elements (step_id);
    CREATE TABLE feedback (
        id TEXT PRIMARY KEY, step_id TEXT NOT NULL UNIQUE REFERENCES steps (id) ON DELETE CASCADE,
        is_good INTEGER NOT NULL, comment TEXT NOT NULL, created_at TEXT NOT NULL
    ) STRICT;
    CREATE TABLE preferences (
        owner_id TEXT PRIMARY KEY REFERENCES principals ON DELETE CASCADE, settings TEXT NOT NULL
    ) STRICT;
    """,
    # How documents are to be cut, where somebody says so.
    """
    ALTER TABLE documents ADD COLUMN chunking TEXT;
    ALTER TABLE jobs ADD COLUMN chunking TEXT;
    """,
    # Where deleted items had stood in their lists, which nobody wants to know any more.
    "",
    _RUNNERS,
)


def version(connection: sqlalchemy.Connection) -> int:
    """The version of the tables that such a program made; 0 where there are none."""
    if connection.dialect.name == "sqlite":
        return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
    if not sqlalchemy.inspect(connection).has_table("schema_version"):
        return 0
    return int(connection.exec_driver_sql("SELECT version FROM schema_version").scalar_one())


def upgrade(connection: sqlalchemy.Connection) -> bool:
    """Bring its tables to the last of these versions; False where they have a later one."""
    if (found := version(connection)) > len(SCRIPTS):
        return False
    is_sqlite = connection.dialect.name == "sqlite"
    scripts = SCRIPTS if is_sqlite else (*[""] * (len(SCRIPTS) - 1), _RUNNERS_IN_POSTGRES)
    for script in scripts[found:]:
        for statement in filter(str.strip, script.split(";")):
            connection.exec_driver_sql(statement)
    return True


def refuse_older_programs(connection: sqlalchemy.Connection) -> None:
    """Let programs that know no Alembic find tables newer than theirs. In PostgreSQL they fail by themselves."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA user_version = {len(SCRIPTS) + 1}")
