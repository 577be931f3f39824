"""Prompts shrink to what a server reads, and what a model thinks is never its answer: through real model servers."""

from __future__ import annotations

import re
from contextlib import aclosing, closing

import pytest
from fastapi.responses import JSONResponse

from rag.answering.engine import ChatEngine
from rag.answering.replies import reply_to
from rag.errors import PromptTooLong
from rag.index.index import Index
from rag.models.llm import check_model, open_language_model
from rag.models.openai.client import open_openai
from rag.retrieval.retriever import HybridRetriever
from rag.settings import LanguageModelSettings
from rag.types.chat import Sampling
from rag.types.documents import ChunksRetrieved, Message, QueryCondensed, Scope, TextDelta, ThoughtDelta
from tests.rag.models.model_server import WORDS, ModelServer, chunk, events, running, stream
from tests.rag.versions import make_version

QUESTION = [Message("user", "How often does the pump need oil?")]
IN_LANGUAGES = {
    "en": "How often does the pump need oil?",
    "de": "Wie oft braucht die Pumpe Öl?",
    "fr": "Combien de fois la pompe a-t-elle besoin d'huile ?",
    "es": "¿Con qué frecuencia necesita aceite la bomba?",
}
FORMAT = {"type": "json_object"}


@pytest.fixture
def server():
    with running(ModelServer()) as server:
        server.models = JSONResponse({"data": [{"id": "tiny"}]})  # which tells no window
        yield server


@pytest.fixture
def ask(tmp_path, bag_of_words, settings, server):
    """Asks an engine with eight long pages about pumps; gives the events, the answer last."""
    with closing(Index(tmp_path / "storage", bag_of_words)) as index:
        pages = [f"Pump {number} needs oil. " + f"It stands in hall {number}. " * 40 for number in range(8)]
        index.replace_documents([make_version("doc_a", pages, bag_of_words)])

        async def ask(messages=QUESTION, sampling=None, **llm):
            described = LanguageModelSettings(provider="openai", base_url=server.base_url, **llm)
            found = settings.retrieval.model_copy(update={"min_relevance": 0.0})
            changed = settings.model_copy(update={"llm": described, "retrieval": found})
            retriever = HybridRetriever(index, changed.retrieval)
            engine = ChatEngine(retriever, ask.model or open_language_model(changed), changed)
            scope = Scope(tuple(collection.id for collection in index.catalog.collections()))
            async with aclosing(engine.stream(messages, scope, sampling or Sampling())) as stream_:
                return [event async for event in stream_]

        ask.model = None
        yield ask


def length_of(body):
    return sum(len(message["content"]) for message in body["messages"])


def reads(server, most, refusal, count=length_of):
    """The server reads that much, as it counts, and says so in these words."""

    def answer(_, body):
        counted = count(body)
        if counted > most:
            wording = refusal.format(limit=most, counted=counted, excess=counted - most, reply=body["max_tokens"])
            return JSONResponse({"error": {"message": wording}}, 400)
        return stream(WORDS, body)

    server.reply = answer


def tokens_of(body):
    return length_of(body) // 4


def whole_of(body):
    return tokens_of(body) + body["max_tokens"]


@pytest.mark.parametrize(
    ("most", "refusal", "count"),
    [
        (1500, "This model's maximum context length is {limit} tokens.", whole_of),
        (1500, "request ({counted} tokens) exceeds the available context size ({limit} tokens)", tokens_of),
        (1000, "`inputs` must have less than {limit} tokens. Given: {counted}", tokens_of),
        (900, "prompt too long; exceeded max context length by {excess} tokens", tokens_of),
        (6000, "The prompt has {counted} characters; the limit is {limit} characters.", length_of),
        (3000, "The limit is {limit} characters.", length_of),
    ],
    ids=["vLLM", "llama-server", "TGI", "Ollama", "characters", "characters, uncounted"],
)
async def test_the_prompt_shrinks_to_what_the_server_says_that_it_reads(server, ask, most, refusal, count):
    reads(server, most, refusal, count)
    emitted = await ask(context_window=16_000, max_tokens=200)
    retrieved = [event for event in emitted if isinstance(event, ChunksRetrieved)]
    assert len(server.requests) <= (3 if "excess" in refusal else 2), "one refusal tells it"
    assert 0.5 * most < count(server.requests[-1]) <= most, "and what it reads is used"
    assert len(retrieved[-1].passages) < len(retrieved[0].passages)


async def test_a_server_that_counts_twice_as_many_tokens_is_sent_half_as_many(server, ask):
    wording = (
        "This model's maximum context length is {limit} tokens. However, your messages resulted in {counted} tokens."
    )
    reads(server, 2_000, wording, lambda body: length_of(body) // 2 + 1)
    await ask(context_window=16_000)
    assert len(server.requests) == 2


@pytest.mark.parametrize("refusal", ["the prompt is too long", "Context length exceeded.", "input is too large"])
async def test_a_server_that_says_no_number_is_asked_with_less_down_to_one_passage(server, ask, refusal):
    reads(server, 2_400, refusal)
    *_, completed = await ask(context_window=30_000)
    assert len(completed.answer.passages) == 1
    assert len(server.requests) <= 8
    lengths = [length_of(body) for body in server.requests]
    assert lengths == sorted(lengths, reverse=True)


async def test_a_refusal_inside_a_stream_is_read_too(server, ask):
    """As TGI and llama-server put it: the status is sent already."""

    def answer(_, body):
        if length_of(body) <= 6_000:
            return stream(WORDS, body)

        async def refused():
            message = f"request ({length_of(body) // 4} tokens) exceeds the available context size (1500 tokens)"
            yield f'data: {{"error": {{"message": "{message}"}}}}\n\n'.encode()

        return events(refused())

    server.reply = answer
    await ask(context_window=16_000)
    assert len(server.requests) == 2


async def test_what_a_server_reads_is_remembered(server, ask):
    reads(server, 1500, "This model's maximum context length is {limit} tokens.", whole_of)
    described = LanguageModelSettings(provider="openai", base_url=server.base_url, context_window=16_000)
    ask.model = open_openai(described)
    await ask()
    await check_model(ask.model)  # the server is asked what it is, and tells no window
    await ask()
    assert len(server.requests) == 3, "the second question was asked once"


async def test_where_not_even_one_passage_fits_it_is_said(server, ask):
    reads(server, 10, "the prompt is too long")
    with pytest.raises(PromptTooLong):
        await ask(context_window=16_000)
    assert len(server.requests) <= 8


# ----------------------------------------------------------------------------------------------------------- thoughts


def thinks(server, thoughts, words, finish_reason="stop"):
    async def pieces():
        for thought in thoughts:
            yield chunk(choices=[{"index": 0, "delta": {"reasoning_content": thought}, "finish_reason": None}])
        for word in words:
            yield chunk(word)
        yield chunk(None, finish_reason)
        yield b"data: [DONE]\n\n"

    server.reply = lambda *_: events(pieces())


async def test_thoughts_are_told_beside_the_answer_and_nothing_in_them_is_cited(server, ask):
    thinks(server, ["Hall 3 ", "is in [2]."], ["Pump 0 needs ", "oil [1]."])
    *before, completed = await ask()
    answer = completed.answer
    assert [event.text for event in before if isinstance(event, ThoughtDelta)] == ["Hall 3 ", "is in [2]."]
    assert (answer.text, answer.thoughts) == ("Pump 0 needs oil [1].", "Hall 3 is in [2].")
    assert {citation.number for citation in answer.citations} == {1}
    assert all("Hall" not in answer.text[claim.start : claim.end] for claim in answer.claims)


async def test_thoughts_that_nobody_saw_begin_are_not_the_answer(server, ask):
    server.reply = lambda _, body: stream(["Cheese is blue.\n", "</think>\n\n", "Pump 0 needs oil [1]."], body)
    answer = (await ask())[-1].answer
    assert (answer.text, answer.thoughts) == ("Pump 0 needs oil [1].", "Cheese is blue.")
    assert {citation.number for citation in answer.citations} == {1}


@pytest.mark.parametrize("language", IN_LANGUAGES)
async def test_an_answer_spent_on_thoughts_says_so_in_the_language_of_the_question(server, ask, language):
    thinks(server, ["Hm. "] * 9, [], "length")
    question = IN_LANGUAGES[language]
    *before, completed = await ask([Message("user", f"{question} (pump oil)")], max_tokens=77)
    answer = completed.answer
    assert answer.text == reply_to(question, "only_thoughts", tokens=77)
    assert answer.text == "".join(event.text for event in before if isinstance(event, TextDelta))
    assert (answer.notices, answer.finish_reason, answer.found) == (("only_thoughts",), "length", False)
    assert answer.thoughts == ("Hm. " * 9).strip()
    assert not answer.citations


@pytest.mark.parametrize(("finish_reason", "notice"), [("stop", "no_answer"), ("content_filter", "withheld")])
async def test_an_answer_without_a_word_says_why(server, ask, finish_reason, notice):
    server.reply = lambda _, body: stream([], body, finish_reason)
    answer = (await ask())[-1].answer
    assert (answer.text, answer.notices) == (reply_to(QUESTION[0].content, notice), (notice,))


async def test_a_program_that_reads_json_gets_no_words_of_ours(server, ask):
    thinks(server, ["Hm. "], [], "length")
    answer = (await ask(sampling=Sampling(response_format=FORMAT)))[-1].answer
    assert (answer.text, answer.notices) == ("", ("only_thoughts",))


async def test_half_an_answer_that_was_withheld_is_as_it_is(server, ask):
    server.reply = lambda _, body: stream(["Pump 0 needs"], body, "content_filter")
    answer = (await ask())[-1].answer
    assert (answer.text, answer.finish_reason, answer.notices) == ("Pump 0 needs", "content_filter", ())


async def test_a_rewriting_that_is_all_thoughts_falls_back_to_the_joined_question(server, ask):
    def answer(_, body):
        if "Rewritten question:" in str(body["messages"][-1]["content"]):
            thought = {"index": 0, "delta": {"reasoning_content": "Hm."}, "finish_reason": "length"}

            async def pieces():
                yield chunk(choices=[thought])

            return events(pieces())
        return stream(WORDS, body)

    server.reply = answer
    history = [Message("user", "Which pumps need oil?"), Message("assistant", "<think>Hall?</think>All [1].")]
    emitted = await ask([*history, Message("user", "And how often?")])
    (condensed,) = [event.question for event in emitted if isinstance(event, QueryCondensed)]
    assert condensed == "Which pumps need oil? And how often?"
    sent = str(server.requests[-1]["messages"])
    assert "Hall?" not in sent, "thoughts that a client sends back are not read"
    assert not re.search(r"All \[1\]", sent)


async def test_half_a_rewriting_is_none(server, ask):
    server.reply = lambda _, body: stream(["Which hotels"], body, "content_filter")
    history = [Message("user", "Which pumps need oil?"), Message("assistant", "All.")]
    emitted = await ask([*history, Message("user", "And how often?")])
    assert [event.question for event in emitted if isinstance(event, QueryCondensed)] == [
        "Which pumps need oil? And how often?"
    ]


async def test_an_answer_that_has_begun_is_gone_on_with(server, ask):
    begun = [*QUESTION, Message("assistant", "Pump 0 needs")]
    server.reply = lambda _, body: stream([" oil [1]."], body)
    answer = (await ask(begun))[-1].answer
    assert server.requests[-1]["messages"][-1] == {"role": "assistant", "content": "Pump 0 needs"}
    assert "<source" in server.requests[-1]["messages"][0]["content"], "it rests on the same passages"
    assert answer.text == " oil [1]."
    assert {citation.number for citation in answer.citations} == {1}


def passages_of(events_):
    return [event.passages for event in events_ if isinstance(event, ChunksRetrieved)]


async def test_footnotes_are_numbered_as_they_are_read(server, ask):
    first, *_ = passages_of(await ask())
    third, second = first[2], first[1]
    hall = third.text.split()[1]
    server.reply = lambda _, body: stream([f"Pump {hall} needs oil [3]", ". Pumps need oil [2]."], body)
    *emitted, completed = await ask()
    told = passages_of(emitted)
    answer = completed.answer
    assert answer.text == f"Pump {hall} needs oil [1]. Pumps need oil [2]."
    assert answer.passages == told[-1] != told[0]
    assert [passage.number for passage in answer.passages] == list(range(1, len(first) + 1))
    assert [passage.page_index for passage in answer.passages[:2]] == [third.page_index, second.page_index]
    assert {citation.number: citation.page_index for citation in answer.citations} == {
        1: third.page_index,
        2: second.page_index,
    }
    assert [claim.verdict for claim in answer.claims if claim.numbers == (1,)] == ["supported"]
    text_before = "".join(
        event.text
        for event in emitted[: emitted.index(ChunksRetrieved(emitted[0].hits, told[1]))]
        if isinstance(event, TextDelta)
    )
    assert "[" not in text_before, "the numbers are told before they are shown"
