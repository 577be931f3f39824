"""Documents: a question is answered from them; what is no question, in the way of its kind.

What kind a message is (rag/answering/message_kinds.py) is decided by its words, and where these leave it open, by
whether the documents have something on it. No model is asked for that.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

from rag.answering.citations import citation, cite
from rag.answering.context import collect_passages
from rag.answering.engine import ChatEngine
from rag.answering.generation import write_answer
from rag.answering.history import SplitConversation, split_conversation
from rag.answering.message_kinds import Guess, classify
from rag.answering.modes.request import Request
from rag.answering.modes.summarize import summarize
from rag.answering.notices import is_whole_prose, with_notice
from rag.answering.prompts import CONVERSATION_SYSTEM, SMALL_TALK_SYSTEM
from rag.answering.replies import reply_to
from rag.answering.tables.answer import answer_from_tables, may_compute
from rag.answering.tables.table import is_table
from rag.retrieval.document_names import NamedDocuments, named_documents
from rag.retrieval.question_cues import asking_part, topic_asked_for
from rag.types.documents import (
    Answer,
    Chunk,
    ChunksRetrieved,
    Citation,
    Document,
    Emit,
    MessageClassified,
    MessageKind,
    Passage,
    Scope,
    TextDelta,
    Usage,
)

# Leads of another kind over a question (see benchmarks/routing.py): from here on it is that kind …
_SURE = 0.05
_PERHAPS = -0.1  # … and from here on, where the documents have nothing on it
_MAY_BE_COMPUTED = ("collection", "document")  # as which "list all orders over 1000 €" may be read
_MOST_LISTED = 20  # documents
_MOST_SUMMARISED = 3  # documents that a message may name, to be read whole
_HITS_LOOKED_AT = 50
_COURTESIES = {  # what tells small talk that is no greeting
    "thanks": re.compile(r"\b(?:thank|thanks|thx|ty|cheers|dank|danke|vielen dank|merci|gracias)\b", re.IGNORECASE),
    "goodbye": re.compile(
        r"\b(?:bye|goodbye|see you|good night|tschüss|tschüß|auf wiedersehen|bis (?:bald|dann|später|morgen)|gute nacht"
        r"|au revoir|à (?:bientôt|demain|plus)|bonne (?:nuit|soirée)"
        r"|adiós|hasta (?:luego|pronto|mañana)|buenas noches)\b",
        re.IGNORECASE,
    ),
}
_OPENING = 200  # characters quoted of a document's beginning


@dataclass(frozen=True, slots=True)
class ReadMessage:
    """A message whose kind is known: the conversation that it ends, and the documents that it names."""

    kind: MessageKind
    conversation: SplitConversation
    named: NamedDocuments

    @property
    def text(self) -> str:
        """What the user wrote."""
        return self.conversation.question.content


async def documents(engine: ChatEngine, request: Request, emit: Emit) -> Answer:
    """Answer the last message: from the documents (rag/answering/engine.py), or as its kind wants it.

    Raises InvalidRequest when there is no question, BackendError when the model fails.
    """
    message = await read_message(engine, request)
    computed = partial(answer_from_tables, engine, request.scope, named=message.named.documents, emit=emit)
    is_computed = (
        not request.functions
        and not request.sampling.response_format
        and await asyncio.to_thread(may_compute, message.text)
    )
    if message.kind == "question":
        prepared, result = await engine.look_up(
            request.messages, request.scope, request.sampling, request.functions, emit
        )
        if is_computed and (answer := await computed(result, ask_model=True)):
            return answer
        answer = await engine.write(prepared, result, emit)
        if is_computed and result.hits and is_table(result.hits[0].source) and answer.found and is_whole_prose(answer):
            return await with_notice(answer, "not_computed", message.text, (), emit)
        return answer
    if is_computed and message.kind in _MAY_BE_COMPUTED:
        result = await engine.find(message.text, request.scope)
        if answer := await computed(result, ask_model=False):
            return answer
    emit(MessageClassified(message.kind))
    return replace(await _BY_KIND[message.kind](engine, request, message, emit), kind=message.kind)


async def read_message(engine: ChatEngine, request: Request) -> ReadMessage:
    """The last message with its kind. Where functions can be called, which may be for anything, and where a program
    reads the answer, it is a question."""
    conversation = split_conversation(request.messages)
    text = await asyncio.to_thread(asking_part, conversation.question.content)
    if request.functions or conversation.steps or request.sampling.response_format:
        return ReadMessage("question", conversation, NamedDocuments())
    has_history = any(message.role == "assistant" for message in conversation.history)
    catalog = engine.retriever.index.catalog
    named = await asyncio.to_thread(named_documents, catalog.database, text, request.scope)
    guess = await asyncio.to_thread(classify, text, named.words_of(text), has_history=has_history)
    is_open = _PERHAPS <= guess.lead < _SURE
    is_found = is_open and (await engine.find(text, request.scope)).enough
    return ReadMessage(kind_of(guess, is_found=is_found), conversation, named)


def kind_of(guess: Guess, *, is_found: bool) -> MessageKind:
    """What a message is taken for, seen whether the documents have something on it."""
    return guess.kind if guess.lead >= (_SURE if is_found else _PERHAPS) else "question"


async def _small_talk(engine: ChatEngine, request: Request, message: ReadMessage, emit: Emit) -> Answer:
    if engine.model.llm is None:
        return _emitted(_said(engine, await asyncio.to_thread(reply_to, message.text, _courtesy(message.text))), emit)
    prepared = await engine.prepare(request.messages, request.sampling, system=SMALL_TALK_SYSTEM, from_documents=False)
    return await write_answer(prepared, emit)


def _courtesy(text: str) -> str:
    """Which of the replies to small talk fits."""
    return next((name for name, cue in _COURTESIES.items() if cue.search(text)), "greeting")


async def _conversation(engine: ChatEngine, request: Request, message: ReadMessage, emit: Emit) -> Answer:
    """What was said is worked on with the sources that it rests on: those of the last question."""
    if engine.model.llm is None:
        return _emitted(_said(engine, await asyncio.to_thread(reply_to, message.text, "no_model")), emit)
    result = await engine.find(await asyncio.to_thread(_last_question, message.conversation), request.scope)
    prepared = await engine.prepare(request.messages, request.sampling, system=CONVERSATION_SYSTEM)
    return await write_answer(prepared, emit, result.passages if result.enough else (), result.hits)


def _last_question(conversation: SplitConversation) -> str:
    """The last message of the user's before this one that asks something of the documents; else the very last."""
    asked = [message.content for message in conversation.history if message.role == "user"]
    questions = (text for text in reversed(asked) if classify(text, has_history=True).lead < _SURE)
    return next(questions, asked[-1] if asked else conversation.question.content)


async def _collection(engine: ChatEngine, request: Request, message: ReadMessage, emit: Emit) -> Answer:
    """The documents that are about what the message names, if it does; else all of them."""
    topic = None if message.named.documents else await asyncio.to_thread(topic_asked_for, message.text)
    if topic:
        retriever, least = engine.retriever, engine.settings.retrieval.min_relevance
        query = await retriever.query(topic, request.scope)
        hits = await retriever.retrieve(query, request.scope, _HITS_LOOKED_AT, snippets=False)
        best = tuple((await retriever.best_of_matching(query, request.scope, hits, least)).values())[:_MOST_LISTED]
        page_text = retriever.index.catalog.page_text
        passages = await asyncio.to_thread(collect_passages, best, page_text, _MOST_LISTED)
        return _emitted(await asyncio.to_thread(_about, engine, message.text, query, passages), emit)
    return _emitted(await asyncio.to_thread(_listed, engine, request.scope, message), emit)


async def _document(engine: ChatEngine, request: Request, message: ReadMessage, emit: Emit) -> Answer:
    """The document that is meant is summarised; without a model, its sentences that say most of it are quoted."""
    meant = await _meant_documents(engine, request.scope, message)
    if not meant:
        return _emitted(await asyncio.to_thread(_listed, engine, request.scope, message, "which_document"), emit)
    scope = replace(request.scope, document_ids=meant)
    if engine.model.llm is not None:
        return await summarize(engine, replace(request, scope=scope), emit)
    catalog = engine.retriever.index.catalog
    titles = await asyncio.to_thread(lambda: " ".join(catalog.document(document_id).title for document_id in meant))
    result = await engine.find(titles, scope)
    prepared = await engine.prepare(request.messages, request.sampling)
    return await engine.write(prepared, replace(result, enough=bool(result.passages)), emit)


async def _meant_documents(engine: ChatEngine, scope: Scope, message: ReadMessage) -> frozenset[str]:
    """The documents that a message about one means: those it names; what was chosen, if that is few; the only one that
    there is; the one that the last question was answered from. None where nobody can tell."""
    if message.named.documents and len(message.named.documents) <= _MOST_SUMMARISED:
        return message.named.documents
    present, total = await asyncio.to_thread(engine.retriever.index.catalog.latest_documents, scope, _MOST_SUMMARISED)
    is_chosen = scope.document_ids is not None and total <= _MOST_SUMMARISED
    if is_chosen or total == 1:
        return frozenset(document.id for document in present)
    if message.conversation.history:
        result = await engine.find(await asyncio.to_thread(_last_question, message.conversation), scope)
        return frozenset(passage.document_id for passage in result.passages[:1] if result.enough)
    return frozenset()


def _listed(engine: ChatEngine, scope: Scope, message: ReadMessage, lead: str = "") -> Answer:
    """The documents, each with its beginning as a footnote: those that the message names, else the latest. Blocking."""
    catalog = engine.retriever.index.catalog
    listed, total = catalog.latest_documents(scope, _MOST_LISTED)
    say = partial(reply_to, message.text)
    if not total:
        return _said(engine, say("no_documents"))
    lines = [say(lead)] if lead else []
    count = say("documents_one") if total == 1 else say("documents_many", count=total)
    if message.named.documents:
        named = map(catalog.find_document, sorted(message.named.documents))
        listed = [document for document in named if document]
        lines += [count.rstrip(" :") + ".", say("documents_named")]
    else:
        lines.append(count)
    openings = [(document, chunk) for document in listed for chunk in islice(catalog.chunks_of(document.id), 1)]
    passages = [_opening(number, *opening) for number, opening in enumerate(openings, start=1)]
    citations = [citation(passage, 0, min(_OPENING, len(passage.text))) for passage in passages]
    lines += ["", *(f"- {passage.title} [{passage.number}]" for passage in passages)]
    if not message.named.documents and total > len(listed):
        lines.append(say("documents_more", count=total - len(listed)))
    return _said(engine, "\n".join(lines), tuple(citations), tuple(passages))


def _about(engine: ChatEngine, text: str, topic: str, passages: Sequence[Passage]) -> Answer:
    """The documents that say something about the topic, each with where it does as a footnote. Blocking."""
    if not passages:
        return _said(engine, reply_to(text, "nothing_about", names=topic))
    lines = [reply_to(text, "documents_about", topic=topic), ""]
    lines += [f"- {passage.title} [{passage.number}]" for passage in passages]
    citations = tuple(cite(passage, topic) for passage in passages)
    return _said(engine, "\n".join(lines), citations, tuple(passages))


def _opening(number: int, document: Document, chunk: Chunk) -> Passage:
    """The first chunk of a document, as a passage."""
    place = (chunk.page_index, chunk.page_label, chunk.heading, chunk.start, chunk.end)
    return Passage(number, document.id, document.title, document.source, *place, chunk.text, score=1.0)


def _said(
    engine: ChatEngine,
    text: str,
    citations: tuple[Citation, ...] = (),
    passages: tuple[Passage, ...] = (),
) -> Answer:
    """Footnote's own words as an answer; no model was asked."""
    return Answer(
        text, citations, passages, engine.model.name, found=bool(citations), finish_reason="stop", usage=Usage(0, 0)
    )


def _emitted(answer: Answer, emit: Emit) -> Answer:
    if answer.passages:
        emit(ChunksRetrieved((), answer.passages))
    emit(TextDelta(answer.text))
    return answer


_AnswerByKind = Callable[[ChatEngine, Request, ReadMessage, Emit], Awaitable[Answer]]
_BY_KIND: Mapping[MessageKind, _AnswerByKind] = {
    "small_talk": _small_talk,
    "collection": _collection,
    "document": _document,
    "conversation": _conversation,
}
