"""The chat's conversations as they are kept: whose they are, what was said, what was shown with it; and preferences.

Each belongs to one user and does not exist for others. With a document goes what was said since it was read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rag.errors import NotFound
from rag.storage import schema
from rag.storage.database import Connection, Database, Row, contains, pattern_of
from rag.storage.rows import upsert

LONGEST_TITLE = 80  # characters
DELETED_ANSWER = "*This answer was removed, because a document that it may have quoted was removed.*"
_PILLARS = "('user_message', 'assistant_message', 'run')"  # the page shows no step whose parent is missing
_COLUMNS = "id, title, settings, created_at, updated_at"


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation; `settings` are those it was last asked with, as JSON can hold them. Times are ISO 8601, UTC."""

    id: str
    title: str
    settings: Mapping[str, Any]
    created_at: str
    updated_at: str


@dataclass(frozen=True, slots=True)
class Step:
    """Something said (`user_message`, `assistant_message`) or done (all other types), perhaps as a part of another
    step; `body` is what else the page shows of it, as JSON can hold it."""

    id: str
    type: str
    text: str
    body: Mapping[str, Any] = field(default_factory=dict)
    parent_id: str | None = None


@dataclass(frozen=True, slots=True)
class Element:
    """What is shown with a step, such as its footnotes."""

    id: str
    step_id: str
    body: Mapping[str, Any]


def unknown_conversation(conversation_id: str) -> NotFound:
    """The error for a conversation that is not there, or not for who asks."""
    return NotFound(f"There is no conversation {conversation_id!r}.", hint="The chat's side bar lists yours.")


def title_of(question: str) -> str:
    """A title made from the first question: one line, cut at white space."""
    line = " ".join(question.split())
    if len(line) <= LONGEST_TITLE:
        return line
    whole_words = line[:LONGEST_TITLE].rpartition(" ")[0]
    return f"{whole_words or line[: LONGEST_TITLE - 1]}…"


class Conversations:
    """One user's conversations. Methods block for milliseconds; those that take a conversation's id raise NotFound when
    it is not there, or another's."""

    def __init__(self, database: Database, owner_id: str) -> None:
        self._database = database
        self._owner_id = owner_id

    # ---------------------------------------------------------------------------------------------------- as a whole

    def page(self, limit: int, after: str | None = None, search: str = "") -> tuple[list[Conversation], bool]:
        """Up to `limit` conversations after the one of that id, the last used ones first, and whether there are more;
        with `search` those in which these characters were said. Raises NotFound."""
        where, values = "owner_id = :owner", dict[str, object](owner=self._owner_id)
        if after is not None:
            previous = self.get(after)
            where += " AND (updated_at, id) < (:updated_at, :id)"
            values |= {"updated_at": previous.updated_at, "id": previous.id}
        if search.strip():
            where += (
                f" AND ({contains('title')} OR EXISTS (SELECT 1 FROM steps s WHERE s.conversation_id = "
                f"conversations.id AND s.type IN ('user_message', 'assistant_message') AND {contains('s.text')}))"
            )
            values["pattern"] = pattern_of(search.strip())
        rows = self._database.read(
            f"SELECT {_COLUMNS} FROM conversations WHERE {where} ORDER BY updated_at DESC, id DESC LIMIT :limit",
            limit=limit + 1,
            **values,
        )
        return [_conversation(row) for row in rows[:limit]], len(rows) > limit

    def get(self, conversation_id: str) -> Conversation:
        """A conversation. Raises NotFound."""
        statement = f"SELECT {_COLUMNS} FROM conversations WHERE id = :id AND owner_id = :owner"
        row = self._database.first(statement, id=conversation_id, owner=self._owner_id)
        if row is None:
            raise unknown_conversation(conversation_id)
        return _conversation(row)

    def begin(self, conversation_id: str, question: str) -> None:
        """Add a conversation with a title made from its first question; nothing happens if it is there already. Raises
        NotFound."""
        self._database.write(
            "INSERT INTO conversations (id, owner_id, title, settings, created_at, updated_at) "
            "VALUES (:id, :owner, :title, '{}', :now, :now) ON CONFLICT (id) DO NOTHING",
            id=conversation_id,
            owner=self._owner_id,
            title=title_of(question),
            now=_now(),
        )
        self.get(conversation_id)

    def rename(self, conversation_id: str, title: str) -> None:
        """Give a conversation another title. Raises NotFound."""
        self._update(conversation_id, "title", title_of(title))

    def set_settings(self, conversation_id: str, settings: Mapping[str, Any]) -> None:
        """Note what it is asked with. Raises NotFound."""
        self._update(conversation_id, "settings", _text(settings))

    def delete(self, conversation_id: str) -> None:
        """Delete a conversation with all that was said. Raises NotFound."""
        with self._changing(conversation_id) as connection:
            connection.execute("DELETE FROM conversations WHERE id = :id", id=conversation_id)

    # -------------------------------------------------------------------------------------------------- what is in it

    def steps(self, conversation_id: str) -> list[Step]:
        """All steps, in the order in which they were begun. Raises NotFound."""
        self.get(conversation_id)
        rows = self._database.read(
            "SELECT id, type, text, body, parent_id FROM steps WHERE conversation_id = :id ORDER BY number",
            id=conversation_id,
        )
        return [Step(row.id, row.type, row.text, json.loads(row.body), row.parent_id) for row in rows]

    def put_step(self, conversation_id: str, step: Step, question_id: str = "", documents: Iterable[str] = ()) -> None:
        """Add a step, or store it anew. `documents` are the ids of those that were read for the answer to the step
        `question_id`. Raises NotFound, also when the step is another conversation's."""
        with self._changing(conversation_id) as connection:
            stored = connection.execute(
                "INSERT INTO steps (id, conversation_id, parent_id, type, text, body) "
                "VALUES (:id, :conversation, :parent, :type, :text, :body) "
                "ON CONFLICT (id) DO UPDATE SET type = excluded.type, text = excluded.text, body = excluded.body "
                "WHERE steps.conversation_id = excluded.conversation_id",
                id=step.id,
                conversation=conversation_id,
                parent=step.parent_id,
                type=step.type,
                text=step.text,
                body=_text(step.body),
            )
            if not stored.rowcount:
                raise unknown_conversation(conversation_id)
            connection.executemany(
                "INSERT INTO readings (document_id, question_id) "
                "SELECT CAST(:document AS TEXT), id FROM steps "
                "WHERE id = :question AND conversation_id = :conversation ON CONFLICT DO NOTHING",
                [
                    {"document": document, "question": question_id, "conversation": conversation_id}
                    for document in documents
                ],
            )
            connection.execute(
                "UPDATE conversations SET updated_at = :now WHERE id = :id", now=_now(), id=conversation_id
            )
            if step.type == "user_message":  # the first one may have brought files only
                connection.execute(
                    "UPDATE conversations SET title = :title WHERE id = :id AND title = ''",
                    title=title_of(step.text),
                    id=conversation_id,
                )

    def edit(self, conversation_id: str, question: Step) -> None:
        """Put a question in another way: what was done for it goes. Raises NotFound."""
        with self._changing(conversation_id) as connection:
            self._delete_parts(connection, conversation_id, question.id)
            connection.execute(
                "DELETE FROM readings WHERE question_id IN "
                "(SELECT id FROM steps WHERE id = :id AND conversation_id = :conversation)",
                id=question.id,
                conversation=conversation_id,
            )
        self.put_step(conversation_id, question)

    def delete_step(self, conversation_id: str, step_id: str) -> None:
        """Delete a step with its parts and what was shown with them; nothing happens if it is not there. Raises
        NotFound."""
        with self._changing(conversation_id) as connection:
            self._delete_parts(connection, conversation_id, step_id)
            connection.execute(
                "DELETE FROM steps WHERE id = :id AND conversation_id = :conversation",
                id=step_id,
                conversation=conversation_id,
            )

    def conversation_of(self, step_id: str) -> str:
        """The id of the conversation that a step belongs to. Raises NotFound."""
        row = self._database.first(
            "SELECT c.id FROM steps s JOIN conversations c ON c.id = s.conversation_id "
            "WHERE s.id = :id AND c.owner_id = :owner",
            id=step_id,
            owner=self._owner_id,
        )
        if row is None:
            raise NotFound(f"There is no message {step_id!r}.", hint="Reload the page.")
        return str(row.id)

    def elements(self, conversation_id: str) -> list[Element]:
        """What is shown with all steps. Raises NotFound."""
        self.get(conversation_id)
        rows = self._database.read(
            "SELECT e.id, e.step_id, e.body FROM elements e JOIN steps s ON s.id = e.step_id "
            "WHERE s.conversation_id = :id ORDER BY e.rowid",
            id=conversation_id,
        )
        return [Element(row.id, row.step_id, json.loads(row.body)) for row in rows]

    def put_element(self, conversation_id: str, element: Element) -> None:
        """Store what is shown with a step, if the step is still there. Raises NotFound."""
        with self._changing(conversation_id) as connection:
            connection.execute(
                "INSERT INTO elements (id, step_id, body) "
                "SELECT CAST(:id AS TEXT), id, CAST(:body AS TEXT) FROM steps "
                "WHERE id = :step AND conversation_id = :conversation "
                "ON CONFLICT (id) DO UPDATE SET body = excluded.body "
                "WHERE elements.step_id = excluded.step_id",
                id=element.id,
                body=_text(element.body),
                step=element.step_id,
                conversation=conversation_id,
            )

    def delete_element(self, conversation_id: str, element_id: str) -> None:
        """Delete what is shown with a step. Raises NotFound."""
        with self._changing(conversation_id) as connection:
            connection.execute(
                "DELETE FROM elements WHERE id = :id AND step_id IN "
                "(SELECT id FROM steps WHERE conversation_id = :conversation)",
                id=element_id,
                conversation=conversation_id,
            )

    def _delete_parts(self, connection: Connection, conversation_id: str, step_id: str) -> None:
        connection.execute(
            "DELETE FROM steps WHERE id IN (WITH RECURSIVE parts(id) AS ("
            "SELECT id FROM steps WHERE parent_id = :id AND conversation_id = :conversation "
            "UNION SELECT s.id FROM steps s JOIN parts p ON s.parent_id = p.id AND s.conversation_id = :conversation"
            ") SELECT id FROM parts)",
            id=step_id,
            conversation=conversation_id,
        )

    def _update(self, conversation_id: str, column: str, value: str) -> None:
        with self._changing(conversation_id) as connection:
            connection.execute(
                f"UPDATE conversations SET {column} = :value WHERE id = :id", value=value, id=conversation_id
            )

    @contextmanager
    def _changing(self, conversation_id: str) -> Iterator[Connection]:
        """A transaction in which a conversation is there and the user's. Raises NotFound."""
        with self._database.transaction() as connection:
            self.get(conversation_id)
            yield connection


def delete_of_document(connection: Connection, document_id: str) -> None:
    """Delete what was said from the question on for which a document was read, as later answers may repeat it; the
    questions remain, and so do answers, as a sentence that says so."""
    later = (
        "SELECT later.id FROM readings JOIN steps question ON question.id = readings.question_id "
        "JOIN steps later ON later.conversation_id = question.conversation_id AND later.number > question.number "
        "WHERE readings.document_id = :document AND later.type <> 'user_message'"
    )
    for statement in (
        f"DELETE FROM elements WHERE step_id IN ({later})",
        f"DELETE FROM feedback WHERE step_id IN ({later})",
        f"DELETE FROM steps WHERE type NOT IN {_PILLARS} AND id IN ({later})",
        f"""
        UPDATE steps SET text = '{DELETED_ANSWER}', body = json_remove(body, '$.metadata', '$.input')
        WHERE type = 'assistant_message' AND id IN ({later})
        """,
        "DELETE FROM readings WHERE document_id = :document",
    ):
        connection.execute(statement, document=document_id)


def _conversation(row: Row) -> Conversation:
    return Conversation(row.id, row.title, json.loads(row.settings), row.created_at, row.updated_at)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _text(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)


def preferences(database: Database, owner_id: str) -> dict[str, Any]:
    """What the user chose; blocking, a millisecond."""
    row = database.first("SELECT settings FROM preferences WHERE owner_id = :owner", owner=owner_id)
    return {} if row is None else dict(json.loads(row.settings))


def put_preferences(database: Database, owner_id: str, settings: Mapping[str, Any]) -> None:
    """Keep what the user chose, instead of what was chosen before; blocking, milliseconds."""
    database.write(upsert(schema.preferences, "settings"), owner_id=owner_id, settings=_text(settings))
