"""The chat engine: a conversation in, a stream of events out. UI, API and command line all ask it, and nothing else.

It keeps no state between calls: the caller owns the history, which is exactly the OpenAI shape.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from rag import quotes
from rag.backends.llms import refresh_model, stream_text
from rag.backends.turns import template_tokens
from rag.budget import Prompt, fit_prompt, fitting_history
from rag.citations import MarkerFilter, cite, collect_citations
from rag.context import collect_passages
from rag.errors import InvalidRequest, PromptTooLong, RagError
from rag.prompts import ANSWER_SYSTEM, CONDENSE, NEAREST, NO_DOCUMENTS, NOT_FOUND
from rag.retrieval import HybridRetriever
from rag.sampling import DEFAULT_MAX_TOKENS, UNSPECIFIED, Sampling
from rag.settings import Settings
from rag.support import check_claims
from rag.types import (
    Answer,
    AnswerCompleted,
    ChunksRetrieved,
    Citation,
    Event,
    FinishReason,
    Hit,
    LanguageModel,
    Message,
    Passage,
    Progress,
    QueryCondensed,
    Scope,
    TextDelta,
    Usage,
)

logger = logging.getLogger(__name__)

_HITS_PER_PASSAGE = 3
_NEAREST = 3  # passages named when none answers
_CONDENSED_TOKENS = 128
_SMALLEST_PROMPT = 4  # a refused prompt is halved until it is this part of the window
# Without a model, a follow-up that leans on the question before it ("and in 2021?", "is it paid?") is searched with it.
_LEANING = re.compile(
    r"^(and|or|but|then|also|so|what about|how about|und|oder|aber|et|ou|y|o)\b"
    r"|\b(it|its|they|them|their|this|these|those|that one|he|him|his|she|her|there|then)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ChatEngine:
    """Answers questions from documents; safe to use from several tasks at once.

    `examples` are turns that show the model how to answer: they stand before every conversation, and are no part of it.
    """

    retriever: HybridRetriever
    model: LanguageModel
    settings: Settings
    examples: tuple[Message, ...] = ()

    async def stream(
        self,
        messages: Sequence[Message],
        scope: Scope,
        sampling: Sampling = UNSPECIFIED,
    ) -> AsyncGenerator[Event, None]:
        """Answer the last user message. Ends with AnswerCompleted; closing the generator stops the model.

        Raises InvalidRequest when there is no question, BackendError when the model fails.
        """
        conversation = _conversation(messages)
        model = await refresh_model(self.model)
        told = [message.content for message in messages if message.role == "system"]
        instructions = "\n\n".join(filter(None, [model.system_prompt, *told]))
        question = await self._condense(model, conversation)
        if question != conversation[-1].content:
            yield QueryCondensed(question)
        hits = await self.retrieve(question, scope, self.settings.retrieval.passages * _HITS_PER_PASSAGE)
        passages = await asyncio.to_thread(
            collect_passages, hits, self.retriever.index.catalog.page_text, self.settings.retrieval.passages
        )
        evidence = await self.retriever.evidence(question, hits)
        if not passages or evidence < self.settings.retrieval.minimum_evidence:
            yield ChunksRetrieved(hits, passages)
            refusal = await asyncio.to_thread(self._refuse, model, question, passages)
            yield TextDelta(refusal.text)
            yield AnswerCompleted(refusal)
        elif model.llm is None:
            yield ChunksRetrieved(hits, passages)
            async for event in self._quote(model, question, passages):
                yield event
        else:
            async with aclosing(
                self._generate_fitting(model, instructions, conversation, hits, passages, sampling)
            ) as events:
                async for event in events:
                    yield event

    async def answer(self, messages: Sequence[Message], scope: Scope) -> Answer:
        """The whole answer at once."""
        async with aclosing(self.stream(messages, scope)) as events:
            async for event in events:
                if isinstance(event, AnswerCompleted):
                    return event.answer
        raise RagError("The answer ended without being completed.")

    async def retrieve(self, question: str, scope: Scope, limit: int) -> tuple[Hit, ...]:
        """The best chunks for a question, without asking a model."""
        return await self.retriever.retrieve(question, scope, limit)

    # ------------------------------------------------------------------------------------------------- condensing

    async def _condense(self, model: LanguageModel, conversation: Sequence[Message]) -> str:
        """A question that stands on its own; the one asked when there is no history or the model fails."""
        question = conversation[-1].content
        history = conversation[:-1]
        if not history:
            return question
        room = model.context_window - _CONDENSED_TOKENS - template_tokens(1)
        room -= model.count_tokens(CONDENSE) + model.count_tokens(question)
        recent = fitting_history(history, model.count_tokens, room)
        if model.llm is None or not recent:
            return _joined_with_previous(history, question)
        told = "\n".join(f"{message.role}: {message.content}" for message in recent)
        prompt = Message("user", CONDENSE.format(conversation=told, question=question))
        deltas = stream_text(model, [prompt], Sampling(max_tokens=_CONDENSED_TOKENS, temperature=0.0))
        try:
            async with aclosing(deltas):
                parts = [delta.text async for delta in deltas]
        except RagError as error:
            logger.warning("A follow-up question could not be rewritten: %s", error)
            return question
        condensed = "".join(parts).strip().strip('"').splitlines()
        return condensed[0].strip() if condensed and condensed[0].strip() else question

    # -------------------------------------------------------------------------------------------------- answering

    def _refuse(self, model: LanguageModel, question: str, passages: tuple[Passage, ...]) -> Answer:
        """Say that the documents do not tell, and where they come nearest; no model is asked."""
        nearest = tuple(cite(passage, question) for passage in passages[:_NEAREST])
        text = NOT_FOUND if self.retriever.index.catalog.documents() else NO_DOCUMENTS
        if nearest:
            text = "\n".join([text, NEAREST, *map(_place, nearest)])
        return Answer(text, nearest, passages, model.name, found=False, finish_reason="stop", usage=Usage(0, 0))

    async def _quote(
        self, model: LanguageModel, question: str, passages: tuple[Passage, ...]
    ) -> AsyncGenerator[Event, None]:
        found = await asyncio.to_thread(quotes.best_sentences, question, passages, self.retriever.index.embedding)
        text = quotes.compose(found)
        for paragraph in text.splitlines(keepends=True):
            yield TextDelta(paragraph)
        yield AnswerCompleted(self._answer(model, text, tuple(found), passages, "stop", Usage(0, 0)))

    async def _generate_fitting(
        self,
        model: LanguageModel,
        instructions: str,
        conversation: Sequence[Message],
        hits: tuple[Hit, ...],
        passages: Sequence[Passage],
        sampling: Sampling,
    ) -> AsyncGenerator[Event, None]:
        """Generate; a server that counts more tokens than we do is asked again with half as much, and once more.

        ChunksRetrieved comes again with the passages that are left.
        """
        rules = "\n\n".join(part for part in (instructions, ANSWER_SYSTEM.format(not_found=NOT_FOUND)) if part)
        longest = sampling.over(model.sampling).max_tokens or DEFAULT_MAX_TOKENS
        window = model.context_window
        refusal: PromptTooLong | None = None
        while True:
            smaller = replace(model, context_window=window)
            try:
                prompt = await asyncio.to_thread(
                    fit_prompt, smaller, rules, conversation, passages, longest, self.examples
                )
            except InvalidRequest as error:  # not even the rules fit
                raise refusal or error from None
            yield ChunksRetrieved(hits, prompt.passages)
            try:
                async with aclosing(self._generate(model, prompt, sampling)) as events:
                    async for event in events:
                        yield event
            except PromptTooLong as error:
                refusal, window = error, window // 2
                if len(prompt.passages) < 2 or window < model.context_window // _SMALLEST_PROMPT:
                    raise
                logger.warning("The prompt did not fit, trying a shorter one: %s", error)
            else:
                return

    async def _generate(self, model: LanguageModel, prompt: Prompt, sampling: Sampling) -> AsyncGenerator[Event, None]:
        markers = MarkerFilter([passage.number for passage in prompt.passages])
        parts: list[str] = []
        finish_reason: FinishReason = "stop"
        usage: Usage | None = None
        deltas = stream_text(model, prompt.messages, replace(sampling, max_tokens=prompt.max_tokens))
        async with aclosing(deltas):
            async for delta in deltas:
                finish_reason = delta.finish_reason or finish_reason
                usage = delta.usage or usage
                if delta.waiting:
                    yield Progress(delta.waiting)
                if text := markers.feed(delta.text):
                    parts.append(text)
                    yield TextDelta(text)
        if text := markers.flush():
            parts.append(text)
            yield TextDelta(text)
        text = "".join(parts)
        citations = await asyncio.to_thread(collect_citations, text, prompt.passages)
        if usage is None:
            count = model.count_tokens
            usage = Usage(sum(count(message.content) for message in prompt.messages), count(text))
        answer = self._answer(model, text, citations, prompt.passages, finish_reason, usage)
        claims = await asyncio.to_thread(check_claims, text, prompt.passages)
        yield AnswerCompleted(replace(answer, claims=claims))

    def _answer(
        self,
        model: LanguageModel,
        text: str,
        citations: tuple[Citation, ...],
        passages: tuple[Passage, ...],
        finish_reason: FinishReason,
        usage: Usage,
    ) -> Answer:
        found = bool(citations) or NOT_FOUND not in text
        return Answer(text, citations, passages, model.name, found, finish_reason, usage)


def _conversation(messages: Sequence[Message]) -> list[Message]:
    """The turns without system messages, ending with a question. Raises InvalidRequest when there is none."""
    turns = [message for message in messages if message.role != "system"]
    if not turns or turns[-1].role != "user" or not turns[-1].content.strip():
        raise InvalidRequest(
            "There is no question.", hint="The last message must be the user's and hold text.", param="messages"
        )
    return turns


def _place(citation: Citation) -> str:
    page = f", page {citation.page_label}" if citation.page_label else ""
    return f"- {citation.title}{page} [{citation.number}]"


def _joined_with_previous(history: Sequence[Message], question: str) -> str:
    previous = [message.content for message in history if message.role == "user"]
    if previous and _LEANING.search(question):
        return f"{previous[-1]} {question}"
    return question
