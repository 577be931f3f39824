"""The vote on several models' answers: a button for each under them, and the vote stored with question and passages."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import chainlit as cl

from rag.storage.feedback import passage_id, put_vote
from rag.ui.markdown import escape
from rag.ui.translations import current_translations
from rag.ui.turns import turn_metadata

if TYPE_CHECKING:
    from rag.auth.access import Access
    from rag.ui.answer.stream import Outcome

VOTE = "vote"  # the name of the buttons' action
_COMPARISONS = "comparisons"


@dataclass(frozen=True, slots=True)
class VoteOffer:
    """What is voted on: the message with the buttons, the turn of the conversation it belongs to, and the answers."""

    message: cl.Message
    turn_id: str
    question: str
    outcome: Outcome


async def offer_vote(turn_id: str, question: str, outcome: Outcome) -> None:
    """Ask which answer is the best."""
    translations = current_translations()
    message = cl.Message(translations("which_is_better" if len(outcome.candidates) == 2 else "which_is_best"))
    choices = [*((model, model) for model in outcome.candidates), ("", translations("none_of_them"))]
    message.actions = [
        cl.Action(name=VOTE, label=label, payload={"comparison": message.id, "model": model})
        for model, label in choices
    ]
    comparisons = cl.user_session.get(_COMPARISONS) or {}
    comparisons[message.id] = VoteOffer(message, turn_id, question, outcome)
    cl.user_session.set(_COMPARISONS, comparisons)
    await message.send()


async def take_vote(action: cl.Action, access: Access) -> None:
    """Store the vote, unless it was cast already, and say so; the conversation goes on with the answer that was chosen.
    Raises InvalidRequest."""
    comparisons: dict[str, VoteOffer] = cl.user_session.get(_COMPARISONS) or {}
    comparison = comparisons.pop(str(action.payload.get("comparison")), None)
    if comparison is None:
        return
    model = str(action.payload.get("model"))
    answers = {name: answer.text for name, answer in comparison.outcome.candidates.items()}
    passages = [passage_id(passage) for passage in comparison.outcome.passages]
    vote = (comparison.question, answers, passages, model or None)
    await asyncio.to_thread(put_vote, access.catalog, access.principal.id, *vote)
    await comparison.message.remove_actions()
    comparison.message.content = (
        current_translations()("chose", model=escape(model)) if model else current_translations()("chose_none")
    )
    if model:
        comparison.message.metadata = turn_metadata(comparison.turn_id, answers[model], comparison.outcome.passages)
    await comparison.message.update()
