PRAGMA user_version = 13;
BEGIN TRANSACTION;
CREATE TABLE attachments (
        collection_id TEXT NOT NULL REFERENCES collections ON DELETE CASCADE,
        file_id TEXT NOT NULL REFERENCES files ON DELETE CASCADE,
        job_id TEXT NOT NULL, created_at TEXT NOT NULL,
        UNIQUE (collection_id, file_id)
    ) STRICT;
INSERT INTO "attachments" VALUES('vs_cfbad8959553621f3762db06','file_86b7706f7b5b5d44ffbb3f76','job_a3551c4cc57d1b69130bc47e','2026-11-30T19:50:43+00:00');
INSERT INTO "attachments" VALUES('vs_cfbad8959553621f3762db06','file_1a677498f54e6b01570991d0','job_911dcf225db282faa2d34378','2026-11-30T19:50:43+00:00');
CREATE TABLE batch_jobs (
        batch_id TEXT NOT NULL REFERENCES batches ON DELETE CASCADE, job_id TEXT NOT NULL, file_id TEXT NOT NULL,
        PRIMARY KEY (batch_id, file_id)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "batch_jobs" VALUES('batch_1','job_911dcf225db282faa2d34378','file_1a677498f54e6b01570991d0');
INSERT INTO "batch_jobs" VALUES('batch_1','job_a3551c4cc57d1b69130bc47e','file_86b7706f7b5b5d44ffbb3f76');
CREATE TABLE batches (
        id TEXT PRIMARY KEY, collection_id TEXT NOT NULL REFERENCES collections ON DELETE CASCADE,
        created_at TEXT NOT NULL
    ) STRICT;
INSERT INTO "batches" VALUES('batch_1','vs_cfbad8959553621f3762db06','2026-11-30T19:50:43+00:00');
CREATE TABLE chunks (
        document_id TEXT NOT NULL REFERENCES documents ON DELETE CASCADE, version INTEGER NOT NULL,
        number INTEGER NOT NULL, page_index INTEGER, page_label TEXT, heading TEXT NOT NULL, record_id TEXT,
        start INTEGER NOT NULL, "end" INTEGER NOT NULL, text TEXT NOT NULL, vector_id TEXT NOT NULL,
        PRIMARY KEY (document_id, version, number)
    ) STRICT;
INSERT INTO "chunks" VALUES('doc_1',1,0,NULL,NULL,'',NULL,0,18,'The fox is orange.','v1');
CREATE TABLE collections (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, owner_id TEXT NOT NULL REFERENCES principals, created_at TEXT NOT NULL, label TEXT, description TEXT, metadata TEXT NOT NULL DEFAULT '{}', expires_days INTEGER, active_at TEXT, is_public INTEGER NOT NULL DEFAULT 0,
        UNIQUE (owner_id, name)
    ) STRICT;
INSERT INTO "collections" VALUES('vs_868c9a1db42d86fed93d5773','default','prn_local','2026-11-30T19:50:43+00:00',NULL,NULL,'{}',NULL,NULL,0);
INSERT INTO "collections" VALUES('vs_cfbad8959553621f3762db06','Reports','prn_local','2026-11-30T19:50:43+00:00','Reports','of all years','{"team": "ä"}',7,'2026-11-30T19:50:43+00:00',0);
CREATE TABLE conversations (
        id TEXT PRIMARY KEY, owner_id TEXT NOT NULL REFERENCES principals, title TEXT NOT NULL,
        settings TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL
    ) STRICT;
INSERT INTO "conversations" VALUES('talk_1','prn_34c003b0d81e4ddd496a7bd7','What colour is the fox?','{}','2026-11-30T19:50:43.962732+00:00','2026-11-30T19:50:43.962982+00:00');
CREATE TABLE documents (
        id TEXT PRIMARY KEY, collection_id TEXT NOT NULL REFERENCES collections,
        owner_id TEXT NOT NULL REFERENCES principals, file_id TEXT REFERENCES files,
        source TEXT NOT NULL, title TEXT NOT NULL, content TEXT NOT NULL, media_type TEXT NOT NULL,
        sha256 TEXT NOT NULL, size INTEGER NOT NULL, modified_ns INTEGER NOT NULL, fingerprint TEXT NOT NULL,
        version INTEGER NOT NULL, status TEXT NOT NULL, pages INTEGER NOT NULL, chunks INTEGER NOT NULL,
        error TEXT NOT NULL, hint TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL, attributes TEXT NOT NULL DEFAULT '{}', chunking TEXT,
        UNIQUE (collection_id, source)
    ) STRICT;
INSERT INTO "documents" VALUES('doc_1','vs_cfbad8959553621f3762db06','prn_local','file_86b7706f7b5b5d44ffbb3f76','note.txt','Note','/storage/files/note.txt','text/plain','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',20,1,'f',1,'ready',0,1,'','','2026-01-01T00:00:00+00:00','2026-01-01T00:00:00+00:00','{"year": 2021}',NULL);
CREATE TABLE elements (
        id TEXT PRIMARY KEY, step_id TEXT NOT NULL REFERENCES steps (id) ON DELETE CASCADE, body TEXT NOT NULL
    ) STRICT;
INSERT INTO "elements" VALUES('e1','s2','{"type": "custom"}');
CREATE TABLE feedback (
        id TEXT PRIMARY KEY, step_id TEXT NOT NULL UNIQUE REFERENCES steps (id) ON DELETE CASCADE,
        is_good INTEGER NOT NULL, comment TEXT NOT NULL, created_at TEXT NOT NULL
    ) STRICT;
INSERT INTO "feedback" VALUES('fb_b842bb76b7f4e7c645178434','s2',1,'good','2026-11-30T19:50:43+00:00');
CREATE TABLE files (
        id TEXT PRIMARY KEY, owner_id TEXT NOT NULL REFERENCES principals, sha256 TEXT NOT NULL, name TEXT NOT NULL,
        size INTEGER NOT NULL, created_at TEXT NOT NULL
    , purpose TEXT NOT NULL DEFAULT '', expires_at TEXT, key_id TEXT NOT NULL DEFAULT '') STRICT;
INSERT INTO "files" VALUES('file_86b7706f7b5b5d44ffbb3f76','prn_local','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','note.txt',20,'2026-11-30T19:50:43+00:00','assistants',NULL,'');
INSERT INTO "files" VALUES('file_1a677498f54e6b01570991d0','prn_local','cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc','later.txt',20,'2026-11-30T19:50:43+00:00','user_data',NULL,'');
CREATE TABLE former_places (
        list TEXT NOT NULL, id TEXT NOT NULL, place INTEGER NOT NULL, PRIMARY KEY (list, id)
    ) STRICT;
INSERT INTO "former_places" VALUES('collections','vs_7a5c713e58cf89c3e4ab3439',3);
INSERT INTO "former_places" VALUES('files','file_0607bc96ee89eb4b36c04480',2);
CREATE TABLE jobs (
        id TEXT PRIMARY KEY, owner_id TEXT NOT NULL REFERENCES principals, collection TEXT NOT NULL,
        file_id TEXT NOT NULL REFERENCES files, state TEXT NOT NULL, starts INTEGER NOT NULL, report TEXT NOT NULL,
        created_at TEXT NOT NULL, updated_at TEXT NOT NULL
    , attributes TEXT NOT NULL DEFAULT '{}', chunking TEXT, runner TEXT NOT NULL DEFAULT '', stop INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO "jobs" VALUES('job_a3551c4cc57d1b69130bc47e','prn_local','Reports','file_86b7706f7b5b5d44ffbb3f76','queued',0,'','2026-11-30T19:50:43+00:00','2026-11-30T19:50:43+00:00','{"year": 2021}',NULL,'',0);
INSERT INTO "jobs" VALUES('job_911dcf225db282faa2d34378','prn_local','Reports','file_1a677498f54e6b01570991d0','queued',0,'','2026-11-30T19:50:43+00:00','2026-11-30T19:50:43+00:00','{}',NULL,'',0);
CREATE TABLE keys (
        id TEXT PRIMARY KEY, principal_id TEXT NOT NULL REFERENCES principals ON DELETE CASCADE, name TEXT NOT NULL,
        prefix TEXT NOT NULL, digest TEXT NOT NULL UNIQUE, collections TEXT, read_only INTEGER NOT NULL,
        created_at TEXT NOT NULL, expires_at TEXT, used_at TEXT
    ) STRICT;
INSERT INTO "keys" VALUES('key_b9c317b2cc9e8fb808645006','prn_34c003b0d81e4ddd496a7bd7','laptop','fn-OmEq1u','c0b548591f03e29fb89662f04f60f7d68105b0539ae08ec88af26e63930e9924','["vs_868c9a1db42d86fed93d5773"]',1,'2026-11-30T19:50:43+00:00',NULL,NULL);
CREATE TABLE loose_vectors (
        collection_id TEXT NOT NULL, vector_id TEXT NOT NULL, PRIMARY KEY (collection_id, vector_id)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "loose_vectors" VALUES('vs_cfbad8959553621f3762db06','v1');
CREATE TABLE names (
        token TEXT NOT NULL, document_id TEXT NOT NULL REFERENCES documents ON DELETE CASCADE,
        PRIMARY KEY (token, document_id)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "names" VALUES('note','doc_1');
CREATE TABLE preferences (
        owner_id TEXT PRIMARY KEY REFERENCES principals ON DELETE CASCADE, settings TEXT NOT NULL
    ) STRICT;
INSERT INTO "preferences" VALUES('prn_34c003b0d81e4ddd496a7bd7','{"mode": "ask"}');
CREATE TABLE principals (
        id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, created_at TEXT NOT NULL
    , password TEXT NOT NULL DEFAULT '', is_admin INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO "principals" VALUES('prn_local','local','2026-11-30T19:50:43+00:00','',1);
INSERT INTO "principals" VALUES('prn_34c003b0d81e4ddd496a7bd7','ann','2026-11-30T19:50:43+00:00','$argon2id$v=19$m=65536,t=3,p=4$wtY72eTNVKe7Q30W4pPsaA$HNUCQq60iytlq2ErnwkRUE+733hN9owp4cym9LB7IPs',1);
CREATE TABLE properties (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
INSERT INTO "properties" VALUES('revision','1');
INSERT INTO "properties" VALUES('names','1');
CREATE TABLE readings (
        document_id TEXT NOT NULL, question_id TEXT NOT NULL REFERENCES steps (id) ON DELETE CASCADE,
        PRIMARY KEY (document_id, question_id)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "readings" VALUES('doc_1','s1');
CREATE TABLE responses (
        id TEXT PRIMARY KEY, owner_id TEXT NOT NULL REFERENCES principals, body TEXT NOT NULL, input TEXT NOT NULL,
        messages TEXT NOT NULL, documents TEXT NOT NULL, created_at TEXT NOT NULL
    , key_id TEXT NOT NULL DEFAULT '') STRICT;
INSERT INTO "responses" VALUES('resp_1','prn_34c003b0d81e4ddd496a7bd7','{"id": "resp_1"}','[]','[{"role": "user", "content": "What colour?", "tool_calls": [], "tool_call_id": ""}]','["doc_1"]','2026-11-30T19:50:43+00:00','');
CREATE TABLE runners (id TEXT PRIMARY KEY, seen_at INTEGER NOT NULL) STRICT;
INSERT INTO "runners" VALUES('run_1',1);
CREATE TABLE sections (
        document_id TEXT NOT NULL REFERENCES documents ON DELETE CASCADE, number INTEGER NOT NULL,
        page_index INTEGER, label TEXT, text TEXT NOT NULL, heading TEXT NOT NULL, record_id TEXT,
        PRIMARY KEY (document_id, number)
    ) STRICT;
INSERT INTO "sections" VALUES('doc_1',0,NULL,NULL,'The fox is orange.','',NULL);
CREATE TABLE shares (
        collection_id TEXT NOT NULL REFERENCES collections ON DELETE CASCADE,
        principal_id TEXT NOT NULL REFERENCES principals ON DELETE CASCADE,
        PRIMARY KEY (collection_id, principal_id)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "shares" VALUES('vs_868c9a1db42d86fed93d5773','prn_34c003b0d81e4ddd496a7bd7');
CREATE TABLE staged (
        document_id TEXT PRIMARY KEY REFERENCES documents ON DELETE CASCADE, version INTEGER NOT NULL,
        title TEXT NOT NULL, fingerprint TEXT NOT NULL, chunks INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
CREATE TABLE steps (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
        conversation_id TEXT NOT NULL REFERENCES conversations ON DELETE CASCADE,
        parent_id TEXT, type TEXT NOT NULL, text TEXT NOT NULL, body TEXT NOT NULL
    ) STRICT;
INSERT INTO "steps" VALUES(1,'s1','talk_1',NULL,'user_message','What colour is the fox?','{}');
INSERT INTO "steps" VALUES(2,'s2','talk_1',NULL,'assistant_message','It is orange [1].','{"metadata": {"passages": ["doc_1::0-18"], "question": "s1", "answer": "It is orange."}}');
CREATE TABLE unfinished (
        document_id TEXT NOT NULL, version INTEGER NOT NULL, collection_id TEXT NOT NULL,
        PRIMARY KEY (document_id, version)
    ) STRICT, WITHOUT ROWID;
CREATE TABLE votes (
        id TEXT PRIMARY KEY, owner_id TEXT NOT NULL REFERENCES principals, question TEXT NOT NULL,
        answers TEXT NOT NULL, passages TEXT NOT NULL, chosen TEXT, created_at TEXT NOT NULL
    ) STRICT;
INSERT INTO "votes" VALUES('vote_b4edb4ef187bacea909ce19e','prn_34c003b0d81e4ddd496a7bd7','What colour?','{"a": "orange", "b": "red"}','["doc_1::0-18"]','a','2026-11-30T19:50:43+00:00');
CREATE INDEX documents_by_sha256 ON documents (sha256);
CREATE INDEX jobs_by_state ON jobs (state);
CREATE INDEX names_by_document ON names (document_id);
CREATE INDEX chunks_by_vector ON chunks (vector_id, document_id, version, number);
CREATE INDEX attachments_by_job ON attachments (job_id);
CREATE INDEX batch_jobs_by_job ON batch_jobs (job_id);
CREATE INDEX documents_by_file ON documents (file_id);
CREATE INDEX files_by_sha256 ON files (sha256);
CREATE INDEX jobs_by_file ON jobs (file_id);
CREATE INDEX conversations_by_owner ON conversations (owner_id, updated_at);
CREATE INDEX steps_by_conversation ON steps (conversation_id, number);
CREATE INDEX steps_by_parent ON steps (parent_id);
CREATE INDEX readings_by_question ON readings (question_id);
CREATE INDEX elements_by_step ON elements (step_id);
CREATE TRIGGER former_places_are_few AFTER INSERT ON former_places BEGIN
        DELETE FROM former_places WHERE rowid <= NEW.rowid - 10000;
    END;
CREATE TRIGGER file_deleted AFTER DELETE ON files BEGIN
        INSERT OR REPLACE INTO former_places VALUES ('files', OLD.id, OLD.rowid);
    END;
CREATE TRIGGER collection_deleted AFTER DELETE ON collections BEGIN
        INSERT OR REPLACE INTO former_places VALUES ('collections', OLD.id, OLD.rowid);
    END;
CREATE TRIGGER attachment_deleted AFTER DELETE ON attachments BEGIN
        INSERT OR REPLACE INTO former_places VALUES (OLD.collection_id, OLD.file_id, OLD.rowid);
    END;
CREATE TRIGGER document_deleted AFTER DELETE ON documents BEGIN
        INSERT OR REPLACE INTO former_places
        VALUES (OLD.collection_id, coalesce(OLD.file_id, OLD.id), 4611686018427387904 + OLD.rowid);
    END;
COMMIT;
