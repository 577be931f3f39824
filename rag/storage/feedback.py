"""What users think of answers: thumbs with a comment, and votes on which of several models' answers was the best one.

A thumb goes with its answer, a vote when a document goes that one of its answers was made from.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from rag.errors import InvalidRequest, NotFound
from rag.storage import schema
from rag.storage.database import Connection, Database
from rag.storage.ids import new_id, now
from rag.storage.rows import insert
from rag.types.documents import Citation, Passage


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a user thinks of an answer, with the question; `passages` are the ids of what was read for it (see
    `rag.storage.feedback.passage_id`)."""

    id: str
    user: str
    is_good: bool
    comment: str
    question: str
    answer: str
    passages: tuple[str, ...]
    created_at: str


def put_feedback(database: Database, owner_id: str, step_id: str, comment: str, *, is_good: bool) -> str:
    """Store what the owner of a conversation thinks of an answer in it, instead of what they thought before; the
    feedback's id. The step may be the run that the answer is a part of. Blocking, milliseconds. Raises NotFound."""
    with database.transaction() as connection:
        stored = connection.execute(
            "INSERT INTO feedback (id, step_id, is_good, comment, created_at) SELECT CAST(:id AS TEXT), s.id, "
            "CAST(:is_good AS BIGINT), CAST(:comment AS TEXT), CAST(:now AS TEXT) FROM steps s "
            "JOIN conversations c ON c.id = s.conversation_id "
            "WHERE (s.id = :step OR s.parent_id = :step) AND s.type = 'assistant_message' AND c.owner_id = :owner "
            "ORDER BY s.number DESC LIMIT 1 "
            "ON CONFLICT (step_id) DO UPDATE SET is_good = excluded.is_good, comment = excluded.comment, "
            "created_at = excluded.created_at RETURNING id",
            id=new_id("fb"),
            is_good=is_good,
            comment=comment,
            now=now(),
            step=step_id,
            owner=owner_id,
        ).scalar()
    if stored is None:
        raise NotFound(f"There is no answer {step_id!r}.", hint="Reload the page.")
    return str(stored)


def delete_feedback(database: Database, owner_id: str, feedback_id: str) -> bool:
    """Take one's own feedback back; whether there was any. Blocking, milliseconds."""
    deleted = database.write(
        "DELETE FROM feedback WHERE id = :id AND step_id IN (SELECT s.id FROM steps s "
        "JOIN conversations c ON c.id = s.conversation_id WHERE c.owner_id = :owner)",
        id=feedback_id,
        owner=owner_id,
    )
    return bool(deleted)


def feedback_in(database: Database, conversation_id: str) -> dict[str, tuple[str, bool, str]]:
    """Id of the answer, and of the run that it is a part of → id of the feedback, whether it is good, and the comment;
    blocking, milliseconds."""
    rows = database.read(
        "SELECT s.id, s.parent_id, f.id, f.is_good, f.comment FROM feedback f JOIN steps s ON s.id = f.step_id "
        "WHERE s.conversation_id = :id",
        id=conversation_id,
    )
    return {
        step_id: (feedback_id, bool(is_good), comment)
        for *step_ids, feedback_id, is_good, comment in rows
        for step_id in step_ids
        if step_id is not None
    }


def list_feedback(database: Database) -> list[Feedback]:
    """All feedback, newest first; blocking, milliseconds."""
    rows = database.read(
        """
        SELECT f.id, p.name AS "user", f.is_good, f.comment, coalesce(q.text, '') AS question,
            coalesce(json_extract(s.body, '$.metadata.answer'), s.text) AS answer,
            coalesce(json_extract(s.body, '$.metadata.passages'), '[]') AS passages, f.created_at
        FROM feedback f JOIN steps s ON s.id = f.step_id JOIN conversations c ON c.id = s.conversation_id
        JOIN principals p ON p.id = c.owner_id
        LEFT JOIN steps q ON q.id = json_extract(s.body, '$.metadata.question') AND q.conversation_id = c.id
        ORDER BY f.created_at DESC, f.rowid DESC
        """
    )
    return [
        Feedback(**row._asdict() | {"is_good": bool(row.is_good), "passages": tuple(json.loads(row.passages))})
        for row in rows
    ]


@dataclass(frozen=True, slots=True)
class Vote:
    """`answers` are the models with their answers, in the order in which they were shown; `chosen` is one of the
    models, or None for none of them. `passages` are the ids of what all of them read: see `passage_id`."""

    id: str
    question: str
    answers: Mapping[str, str]
    passages: tuple[str, ...]
    chosen: str | None
    created_at: str


def passage_id(passage: Passage | Citation) -> str:
    """`{document}:{page index, or nothing}:{start}-{end}`."""
    page = "" if passage.page_index is None else passage.page_index
    return f"{passage.document_id}:{page}:{passage.start}-{passage.end}"


def put_vote(
    database: Database,
    owner_id: str,
    question: str,
    answers: Mapping[str, str],
    passages: Iterable[str],
    chosen: str | None,
) -> Vote:
    """Store a vote; blocking, milliseconds. Raises InvalidRequest when the chosen model is none of those that answered,
    or fewer than two did."""
    if len(answers) < 2 or (chosen is not None and chosen not in answers):
        raise InvalidRequest(
            "A vote is for one of several models that answered, or for none of them.",
            hint=f"The models were: {', '.join(answers)}.",
            param="chosen",
        )
    vote = Vote(new_id("vote"), question, dict(answers), tuple(passages), chosen, now())
    in_json = {"answers": json.dumps(vote.answers), "passages": json.dumps(vote.passages)}
    database.write(insert(schema.votes), owner_id=owner_id, **asdict(vote) | in_json)
    return vote


def list_votes(database: Database) -> list[Vote]:
    """All votes, newest first; blocking, milliseconds."""
    rows = database.read(
        "SELECT id, question, answers, passages, chosen, created_at FROM votes ORDER BY created_at DESC, rowid DESC"
    )
    return [
        Vote(**row._asdict() | {"answers": json.loads(row.answers), "passages": tuple(json.loads(row.passages))})
        for row in rows
    ]


def delete_of_document(connection: Connection, document_id: str) -> None:
    """Delete the votes for which a document was read. Feedback goes with its answer: see conversations.py."""
    connection.execute(
        "DELETE FROM votes WHERE EXISTS "
        "(SELECT 1 FROM json_each(passages) WHERE substr(value, 1, length(:id) + 1) = :id || ':')",
        id=document_id,
    )
