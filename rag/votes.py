"""Votes: which of several models' answers to a question was the best one. They are kept until a document goes that an
answer was made from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rag.catalog import Catalog, new_id, now
from rag.errors import InvalidRequest
from rag.types import Citation, Passage


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
    catalog: Catalog,
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
    with catalog.database.transaction() as connection:
        connection.execute(
            "INSERT INTO votes (id, owner_id, question, answers, passages, chosen, created_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                vote.id,
                owner_id,
                question,
                json.dumps(vote.answers),
                json.dumps(vote.passages),
                chosen,
                vote.created_at,
            ),
        )
    return vote


def list_votes(catalog: Catalog) -> list[Vote]:
    """All votes, newest first; blocking, milliseconds."""
    rows = catalog.database.read(
        "SELECT id, question, answers, passages, chosen, created_at FROM votes ORDER BY created_at DESC, rowid DESC"
    )
    return [
        Vote(vote_id, question, json.loads(answers), tuple(json.loads(passages)), chosen, created_at)
        for vote_id, question, answers, passages, chosen, created_at in rows
    ]
