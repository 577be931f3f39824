"""The chat engine: a conversation in, an answer out, and events on the way. All modes ask it (see modes/dispatch.py).

It keeps no conversation: the caller owns the history, which is exactly the OpenAI shape; only summaries are cached.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from rag.answering import extractive
from rag.answering.citations import cite
from rag.answering.context import collect_passages
from rag.answering.event_stream import EventStream, ignore
from rag.answering.follow_ups import leans_on_previous
from rag.answering.generation import PreparedQuestion, longest_reply, reply, write_answer
from rag.answering.history import Summaries, fit_history, require_functions, require_json, split_conversation
from rag.answering.message_kinds import language_of
from rag.answering.notices import is_whole_prose, with_notice
from rag.answering.prompt_budget import fitting_history, history_room
from rag.answering.prompts import ANSWER_SYSTEM, CONDENSE, EXAMPLES, FUNCTIONS, json_rule
from rag.answering.replies import reply_to
from rag.errors import RagError
from rag.models.chat_template import template_tokens
from rag.models.llm import after_thoughts, refresh_model
from rag.retrieval.missing_names import missing_names
from rag.retrieval.question_cues import asking_part, asks_for_all
from rag.retrieval.relevance_gate import best_relevance, is_foreign
from rag.retrieval.retriever import HybridRetriever, in_turns
from rag.settings import Settings
from rag.telemetry.spans import span
from rag.text.markers import without_markers
from rag.types.chat import NO_FUNCTIONS, UNSPECIFIED, Functions, Sampling
from rag.types.documents import (
    Answer,
    ChunksRetrieved,
    Citation,
    Emit,
    Hit,
    Message,
    Passage,
    QueryCondensed,
    Scope,
    TextDelta,
    Usage,
)
from rag.types.models import Embedding, LanguageModel

logger = logging.getLogger(__name__)

_HITS_PER_PASSAGE = 3
_SEVERAL = 3  # documents: for all of something that so many have, each of them is read
_MOST_READ = 30  # passages
_NEAREST = 3  # passages named when none answers
_MOST_OF_SMALL = 3  # passages that a small model reads
CERTAIN = 0.95  # relevance from which a name that nothing knows is of no account
_CONDENSED_TOKENS = 128


@dataclass(frozen=True, slots=True)
class RetrievalResult:
    """What was found for a question that stands on its own, and whether that is enough to answer it; `missing` are
    names in the question that nothing knows which was found. `matching` are the documents that speak to a question for
    all of something, where there are several; `compared` are those that it names one beside the other."""

    question: str
    hits: tuple[Hit, ...]
    passages: tuple[Passage, ...]
    enough: bool
    missing: tuple[str, ...] = ()
    matching: frozenset[str] = frozenset()
    compared: tuple[frozenset[str], ...] = ()


@dataclass(frozen=True, slots=True)
class ChatEngine:
    """Answers questions from documents; safe to use from several tasks at once.

    `examples` are turns that show the model how to answer: they stand before every conversation, and are no part of it.
    `most_chunks` of what is found are read by the model, where it is set. One that does not retrieve has the model
    answer alone.
    """

    retriever: HybridRetriever
    model: LanguageModel
    settings: Settings
    examples: tuple[Message, ...] = ()
    summaries: Summaries = field(default_factory=Summaries)
    most_chunks: int | None = None
    retrieves: bool = True

    def stream(
        self,
        messages: Sequence[Message],
        scope: Scope,
        sampling: Sampling = UNSPECIFIED,
        functions: Functions = NO_FUNCTIONS,
    ) -> EventStream:
        """What `answer` emits, and at last the answer itself; closing the stream stops the model."""
        return EventStream(partial(self.answer, messages, scope, sampling, functions))

    async def answer(
        self,
        messages: Sequence[Message],
        scope: Scope,
        sampling: Sampling = UNSPECIFIED,
        functions: Functions = NO_FUNCTIONS,
        emit: Emit = ignore,
    ) -> Answer:
        """Answer the last user message.

        Raises InvalidRequest when there is no question, or when the model cannot call the functions; BackendError when
        the model fails.
        """
        return await self.write(*await self.look_up(messages, scope, sampling, functions, emit), emit)

    # ---------------------------------------------------------------------------------------------------- the steps

    async def look_up(
        self,
        messages: Sequence[Message],
        scope: Scope,
        sampling: Sampling = UNSPECIFIED,
        functions: Functions = NO_FUNCTIONS,
        emit: Emit = ignore,
    ) -> tuple[PreparedQuestion, RetrievalResult]:
        """The last user message prepared, and what was found for it; raises what `prepare` does."""
        prepared = await self.prepare(messages, sampling, functions)
        question = await self.condense(prepared, emit)
        result = await self.find(question, scope)
        if result.question != question:  # a word is read as another one
            emit(QueryCondensed(result.question))
        return prepared, result

    async def prepare(
        self,
        messages: Sequence[Message],
        sampling: Sampling = UNSPECIFIED,
        functions: Functions = NO_FUNCTIONS,
        *,
        system: str | None = None,
        from_documents: bool = True,
    ) -> PreparedQuestion:
        """The conversation as the model will be told it, under the rules `system`, else those for answers: long ones
        are shortened (see rag/answering/history.py), and without the numbers of sources, which others have now.

        Raises InvalidRequest when there is no question, or when the model cannot call the functions; BackendUnavailable
        when nothing is known of the model yet.
        """
        split = split_conversation(messages)
        require_functions(self.model, messages, functions)
        require_json(self.model, sampling)
        from_documents = from_documents and self.retrieves
        system = (ANSWER_SYSTEM if from_documents else "") if system is None else system
        model = await refresh_model(self.model)
        system_prompts = [model.system_prompt, *(message.content for message in messages if message.role == "system")]
        instructions = "\n\n".join(filter(None, system_prompts))
        not_found = await asyncio.to_thread(reply_to, split.question.content, "not_found")
        own = system.format(not_found=not_found)
        examples = self.examples
        if model.is_small and from_documents and not examples and not sampling.response_format:
            examples = _examples(not_found)
        own += json_rule(sampling.response_format) if sampling.response_format else ""
        own += FUNCTIONS if from_documents and (functions.may_be_called or split.calls_functions) else ""
        rules = "\n\n".join(filter(None, [instructions, own]))
        room = history_room(
            model,
            rules,
            split.question.content,
            longest_reply(model, sampling),
            sources=from_documents,
            examples=examples,
            steps=split.steps,
            functions=functions,
        )
        history = await asyncio.to_thread(_plain, split.history)
        history = await fit_history(model, history, room, self.settings.history, self.summaries)
        return PreparedQuestion(
            model,
            instructions=instructions,
            rules=rules,
            conversation=[*history, split.question],
            sampling=sampling,
            examples=examples,
            functions=functions,
            steps=split.steps,
        )

    async def condense(self, prepared: PreparedQuestion, emit: Emit = ignore) -> str:
        """A question that stands on its own; QueryCondensed is emitted where it is not the one asked, of which it is
        what that asks when there is no history or the model fails. Where the model writes nothing, the one before it
        may be joined with it."""
        if not self.retrieves:  # the model reads the whole conversation
            return prepared.question
        asking = await asyncio.to_thread(asking_part, prepared.question)
        question = await self._condensed(prepared.model, asking, prepared.conversation[:-1])
        if question != prepared.question:
            emit(QueryCondensed(question))
        return question

    async def _condensed(self, model: LanguageModel, question: str, history: Sequence[Message]) -> str:
        if not history:
            return question
        room = model.context_window - _CONDENSED_TOKENS - template_tokens(1)
        room -= model.count_tokens(CONDENSE) + model.count_tokens(question)
        recent = fitting_history(history, model.count_tokens, room)
        if model.llm is None or not recent:
            return await asyncio.to_thread(_joined_with_previous, history, question)
        conversation = "\n".join(f"{message.role}: {message.written}" for message in recent)
        prompt = Message("user", CONDENSE.format(conversation=conversation, question=question))
        try:
            with span("condense"):
                condensed = (await reply(model, [prompt], _CONDENSED_TOKENS)).text
        except RagError as error:
            logger.warning("A follow-up question could not be rewritten: %s", error)
            return question
        first_line = condensed.strip('"').partition("\n")[0].strip()
        return first_line or await asyncio.to_thread(_joined_with_previous, history, question)

    async def find(self, question: str, scope: Scope) -> RetrievalResult:
        """What the documents have on a question that stands on its own; of each that matches a passage at least, where
        it asks for all of something. Nothing, which is enough, where this engine does not retrieve."""
        if not self.retrieves:
            return RetrievalResult(question, (), (), enough=True)
        settings = self.settings.retrieval
        query = await self.retriever.query(question, scope)
        limit, matching = settings.max_passages, frozenset[str]()
        is_for_all = asks_for_all(query)
        most = max(limit * _HITS_PER_PASSAGE, settings.candidates_per_leg if is_for_all else 0)
        ranked = await self.retriever.retrieve(query, scope, most, snippets=False)
        if is_for_all:
            best = await self.retriever.best_of_matching(query, scope, ranked, settings.min_relevance)
            if len(best) >= _SEVERAL:
                limit, matching = min(max(limit, len(best)), _MOST_READ), frozenset(best)
                ranked = in_turns([list(best.values())], ranked)
        ranked = ranked[: limit * _HITS_PER_PASSAGE]
        hits = ranked[: self.most_chunks]
        with span("pack"):
            passages = await asyncio.to_thread(collect_passages, hits, self.retriever.index.catalog.page_text, limit)
        relevance = best_relevance(ranked)
        embedding = self.retriever.index.embedding
        missing = await asyncio.to_thread(names_missing_in, query, ranked, embedding) if relevance < CERTAIN else ()
        is_enough = bool(passages) and not missing and relevance >= settings.min_relevance
        compared = () if self.model.llm is not None else await self.retriever.compared(query, scope)
        return RetrievalResult(query, hits, passages, is_enough, missing, matching, compared)

    async def write(self, prepared: PreparedQuestion, result: RetrievalResult, emit: Emit = ignore) -> Answer:
        """Answer from what was found: in the model's words, in quotes, or that it is not enough, where no function may
        know more. Where the index is not whole, or the reranker failed, that is said."""
        written = await self._write(prepared, result, emit)
        is_prose = is_whole_prose(written) and not prepared.sampling.response_format
        if self.retrieves and self.retriever.index.impaired and is_prose:
            written = await with_notice(written, "index_incomplete", prepared.question, (), emit)
        if self.retriever.is_reranker_failing and is_prose and result.hits:
            written = await with_notice(written, "not_reranked", prepared.question, (), emit)
        return written

    async def _write(self, prepared: PreparedQuestion, result: RetrievalResult, emit: Emit) -> Answer:
        if result.enough or prepared.must_be_asked:
            if prepared.model.llm is not None:
                quote = partial(extractive.best_quotes, result.question, embedding=self.retriever.index.embedding)
                passages = result.passages[:_MOST_OF_SMALL] if prepared.model.is_small else result.passages
                written = await write_answer(prepared, emit, passages, result.hits, quote)
                count = await asyncio.to_thread(_count_of_read, written, prepared.question, result, by_model=True)
                if count:
                    emit(TextDelta(count))
                return replace(written, text=written.text + count)
            answer = self._quotes
        elif self.settings.retrieval.own_knowledge and prepared.model.llm is not None:
            return await self._from_own_knowledge(prepared, emit)
        else:
            answer = self._refusal
        emit(ChunksRetrieved(result.hits, result.passages))
        written = await asyncio.to_thread(answer, prepared, result)
        for paragraph in written.text.splitlines(keepends=True):
            emit(TextDelta(paragraph))
        return written

    async def retrieve(self, question: str, scope: Scope, limit: int) -> tuple[Hit, ...]:
        """The best chunks for a question, without asking a model."""
        return await self.retriever.retrieve(question, scope, limit)

    async def _from_own_knowledge(self, prepared: PreparedQuestion, emit: Emit) -> Answer:
        """What the model knows itself, under a line that says so."""
        label = await asyncio.to_thread(reply_to, prepared.question, "own_knowledge")
        emit(TextDelta(f"{label}\n\n"))
        answer = await write_answer(replace(prepared, rules=prepared.instructions), emit)
        return replace(answer, text=f"{label}\n\n{answer.text}", found=False)

    # ------------------------------------------------------------------------------------------------ without a model

    def _refusal(self, prepared: PreparedQuestion, result: RetrievalResult) -> Answer:
        """That the documents do not tell, and where they come nearest; no model is asked."""
        nearest = tuple(cite(passage, result.question) for passage in result.passages[:_NEAREST])
        say = partial(reply_to, prepared.question)
        if not self.retriever.index.catalog.documents():
            text = say("no_documents")
        elif result.missing:
            text = say("nothing_about", names=", ".join(result.missing))
        else:
            text = say("not_found")
        if nearest:
            text = "\n".join([text, "", say("nearest"), *(place(prepared.question, citation) for citation in nearest)])
        return _without_model(text, nearest, prepared.model, result, found=False)

    def _quotes(self, prepared: PreparedQuestion, result: RetrievalResult) -> Answer:
        """The sentences that come nearest; of each document that matches or is compared one at least."""
        order = dict.fromkeys(passage.document_id for passage in result.passages)
        groups = [{document_id} for document_id in order if document_id in result.matching] or result.compared
        embedding = self.retriever.index.embedding
        citations = extractive.best_sentences(result.question, result.passages, embedding, groups)
        text = extractive.compose(reply_to(prepared.question, "quoted"), citations)
        written = _without_model(text, tuple(citations), prepared.model, result, found=True)
        return replace(written, text=text + _count_of_read(written, prepared.question, result, by_model=False))


def _count_of_read(answer: Answer, question: str, result: RetrievalResult, *, by_model: bool) -> str:
    """A paragraph that says how many of the documents that match were read for an answer to a question for all of
    something; empty for other answers. Without a model what is quoted is read. Blocking."""
    is_prose = is_whole_prose(answer) and not answer.calls
    if not result.matching or not answer.found or not is_prose:
        return ""
    read = answer.passages if by_model else answer.citations
    count = len(result.matching & {passage.document_id for passage in read})
    return "\n\n" + reply_to(question, "read_matching", read=count, matching=len(result.matching))


def _without_model(
    text: str, citations: tuple[Citation, ...], model: LanguageModel, result: RetrievalResult, *, found: bool
) -> Answer:
    return Answer(text, citations, result.passages, model.name, found, finish_reason="stop", usage=Usage(0, 0))


def place(question: str, citation: Citation) -> str:
    """A line that names the place, in the language of the question."""
    if not citation.page_label:
        return f"- {citation.title} [{citation.number}]"
    values = {"title": citation.title, "label": citation.page_label, "number": citation.number}
    return reply_to(question, "place", **values)


def _examples(not_found: str) -> tuple[Message, ...]:
    turns = (
        (Message("user", asked), Message("assistant", said.format(not_found=not_found))) for asked, said in EXAMPLES
    )
    return tuple(message for turn in turns for message in turn)


def names_missing_in(question: str, hits: Sequence[Hit], embedding: Embedding) -> tuple[str, ...]:
    """The names in the question that nothing knows which was found; none where that is in another language, in which
    they may be others. In German every noun has a capital: only two in a row are a name there."""
    if is_foreign(question, hits, embedding):
        return ()
    return tuple(missing_names(question, hits, least=2 if language_of(question) == "de" else 1))


def _plain(history: Sequence[Message]) -> list[Message]:
    """The history without what answers had beside their words: markers, and thoughts that a client sends back."""
    return [
        replace(message, content=without_markers(after_thoughts(message.content)))
        if message.role == "assistant"
        else message
        for message in history
    ]


def _joined_with_previous(history: Sequence[Message], question: str) -> str:
    previous = [message.content for message in history if message.role == "user"]
    if previous and leans_on_previous(question):
        return f"{previous[-1]} {question}"
    return question
