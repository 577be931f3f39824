"""The chat engine: a conversation in, a stream of events out. UI, API and command line all ask it, and nothing else.

It keeps no state between calls: the caller owns the history, which is exactly the OpenAI shape.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from rag.answering import extractive
from rag.answering.citations import cite
from rag.answering.context import collect_passages
from rag.answering.generation import PreparedQuestion, longest_reply, reply, write_answer
from rag.answering.history import Summaries, fit_history, require_functions, split_conversation
from rag.answering.prompt_budget import fitting_history, history_room
from rag.answering.prompts import ANSWER_SYSTEM, CONDENSE, FUNCTIONS, NEAREST, NO_DOCUMENTS, NOT_FOUND
from rag.errors import RagError
from rag.models.chat_template import template_tokens
from rag.models.llm import refresh_model
from rag.retrieval.retriever import HybridRetriever
from rag.settings import Settings
from rag.telemetry.spans import span
from rag.types.chat import NO_FUNCTIONS, UNSPECIFIED, Functions, Sampling
from rag.types.documents import (
    Answer,
    AnswerCompleted,
    ChunksRetrieved,
    Citation,
    Event,
    Hit,
    LanguageModel,
    Message,
    Passage,
    QueryCondensed,
    Scope,
    TextDelta,
    Usage,
)

logger = logging.getLogger(__name__)

_HITS_PER_PASSAGE = 3
_NEAREST = 3  # passages named when none answers
_CONDENSED_TOKENS = 128
# Without a model, a follow-up that leans on the question before it ("and in 2021?", "is it paid?") is searched with it.
_LEANING = re.compile(
    r"^(and|or|but|then|also|so|what about|how about|und|oder|aber|et|ou|y|o)\b"
    r"|\b(it|its|they|them|their|this|these|those|that one|he|him|his|she|her|there|then)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class RetrievalResult:
    """What was found for a question that stands on its own, and whether that is enough to answer it."""

    question: str
    hits: tuple[Hit, ...]
    passages: tuple[Passage, ...]
    enough: bool


@dataclass(frozen=True, slots=True)
class ChatEngine:
    """Answers questions from documents; safe to use from several tasks at once.

    `examples` are turns that show the model how to answer: they stand before every conversation, and are no part of it.
    `most_chunks` of what is found are read by the model, where it is set.
    """

    retriever: HybridRetriever
    model: LanguageModel
    settings: Settings
    examples: tuple[Message, ...] = ()
    summaries: Summaries = field(default_factory=Summaries)
    most_chunks: int | None = None

    async def stream(
        self,
        messages: Sequence[Message],
        scope: Scope,
        sampling: Sampling = UNSPECIFIED,
        functions: Functions = NO_FUNCTIONS,
    ) -> AsyncGenerator[Event, None]:
        """Answer the last user message. Ends with AnswerCompleted; closing the generator stops the model.

        Raises InvalidRequest when there is no question, or when the model cannot call the functions; BackendError when
        the model fails.
        """
        asked = await self.prepare(messages, sampling, functions)
        question = await self.condense(asked)
        if question != asked.question:
            yield QueryCondensed(question)
        finding = await self.find(question, scope)
        async with aclosing(self.write(asked, finding)) as events:
            async for event in events:
                yield event

    async def answer(self, messages: Sequence[Message], scope: Scope) -> Answer:
        """The whole answer at once."""
        async with aclosing(self.stream(messages, scope)) as events:
            async for event in events:
                if isinstance(event, AnswerCompleted):
                    return event.answer
        raise RagError("The answer ended without being completed.")

    # ---------------------------------------------------------------------------------------------------- the steps

    async def prepare(
        self,
        messages: Sequence[Message],
        sampling: Sampling = UNSPECIFIED,
        functions: Functions = NO_FUNCTIONS,
        *,
        from_documents: bool = True,
    ) -> PreparedQuestion:
        """The conversation as the model will be told it: long ones are shortened (see rag/answering/history.py).

        Raises InvalidRequest when there is no question, or when the model cannot call the functions; BackendUnavailable
        when nothing is known of the model yet.
        """
        told = split_conversation(messages)
        require_functions(self.model, messages, functions)
        model = await refresh_model(self.model)
        said = [model.system_prompt, *(message.content for message in messages if message.role == "system")]
        instructions = "\n\n".join(filter(None, said))
        own = ANSWER_SYSTEM.format(not_found=NOT_FOUND) if from_documents else ""
        own += FUNCTIONS if own and (functions.may_be_called or told.steps) else ""
        rules = "\n\n".join(filter(None, [instructions, own]))
        room = history_room(
            model,
            rules,
            told.question.content,
            longest_reply(model, sampling),
            sources=from_documents,
            examples=self.examples,
            steps=told.steps,
            functions=functions,
        )
        history = await fit_history(model, told.history, room, self.settings.history, self.summaries)
        conversation = [*history, told.question]
        return PreparedQuestion(
            model, instructions, rules, conversation, sampling, self.examples, functions, told.steps
        )

    async def condense(self, asked: PreparedQuestion) -> str:
        """A question that stands on its own; the one asked when there is no history or the model fails."""
        model, question = asked.model, asked.question
        history = asked.conversation[:-1]
        if not history:
            return question
        room = model.context_window - _CONDENSED_TOKENS - template_tokens(1)
        room -= model.count_tokens(CONDENSE) + model.count_tokens(question)
        recent = fitting_history(history, model.count_tokens, room)
        if model.llm is None or not recent:
            return _joined_with_previous(history, question)
        told = "\n".join(f"{message.role}: {message.written}" for message in recent)
        prompt = Message("user", CONDENSE.format(conversation=told, question=question))
        try:
            with span("condense"):
                condensed = (await reply(model, [prompt], _CONDENSED_TOKENS)).text
        except RagError as error:
            logger.warning("A follow-up question could not be rewritten: %s", error)
            return question
        first_line = condensed.strip('"').partition("\n")[0].strip()
        return first_line or question

    async def find(self, question: str, scope: Scope) -> RetrievalResult:
        """What the documents have on a question that stands on its own."""
        limit = self.settings.retrieval.max_passages * _HITS_PER_PASSAGE
        found = await self.retrieve(question, scope, limit)
        hits = found[: self.most_chunks]
        with span("pack"):
            passages = await asyncio.to_thread(
                collect_passages, hits, self.retriever.index.catalog.page_text, self.settings.retrieval.max_passages
            )
        relevance = await self.retriever.relevance(question, found)
        return RetrievalResult(
            question, hits, passages, bool(passages) and relevance >= self.settings.retrieval.min_relevance
        )

    async def write(self, asked: PreparedQuestion, finding: RetrievalResult) -> AsyncGenerator[Event, None]:
        """Answer from what was found: in the model's words, in quotes, or that it is not enough, where no function may
        know more."""
        if not finding.enough and not asked.functions_may_know:
            yield ChunksRetrieved(finding.hits, finding.passages)
            refusal = await asyncio.to_thread(self._refuse, asked.model, finding)
            yield TextDelta(refusal.text)
            yield AnswerCompleted(refusal)
        elif asked.model.llm is None:
            yield ChunksRetrieved(finding.hits, finding.passages)
            async for event in self._quote(asked.model, finding):
                yield event
        else:
            async with aclosing(write_answer(asked, finding.passages, finding.hits)) as events:
                async for event in events:
                    yield event

    async def retrieve(self, question: str, scope: Scope, limit: int) -> tuple[Hit, ...]:
        """The best chunks for a question, without asking a model."""
        return await self.retriever.retrieve(question, scope, limit)

    # ------------------------------------------------------------------------------------------------ without a model

    def _refuse(self, model: LanguageModel, finding: RetrievalResult) -> Answer:
        """Say that the documents do not tell, and where they come nearest; no model is asked."""
        nearest = tuple(cite(passage, finding.question) for passage in finding.passages[:_NEAREST])
        text = NOT_FOUND if self.retriever.index.catalog.documents() else NO_DOCUMENTS
        if nearest:
            text = "\n".join([text, NEAREST, *map(_place, nearest)])
        return Answer(text, nearest, finding.passages, model.name, found=False, finish_reason="stop", usage=Usage(0, 0))

    async def _quote(self, model: LanguageModel, finding: RetrievalResult) -> AsyncGenerator[Event, None]:
        found = await asyncio.to_thread(
            extractive.best_sentences, finding.question, finding.passages, self.retriever.index.embedding
        )
        text = extractive.compose(found)
        for paragraph in text.splitlines(keepends=True):
            yield TextDelta(paragraph)
        yield AnswerCompleted(Answer(text, tuple(found), finding.passages, model.name, True, "stop", Usage(0, 0)))


def _place(citation: Citation) -> str:
    page = f", page {citation.page_label}" if citation.page_label else ""
    return f"- {citation.title}{page} [{citation.number}]"


def _joined_with_previous(history: Sequence[Message], question: str) -> str:
    previous = [message.content for message in history if message.role == "user"]
    if previous and _LEANING.search(question):
        return f"{previous[-1]} {question}"
    return question
