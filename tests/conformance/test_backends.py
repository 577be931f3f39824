"""What every language model must do, whatever it runs on. What one cannot do stands in the table in backends.py."""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import aclosing, nullcontext

import pytest

from rag.errors import BackendRejected, BackendUnavailable, PromptTooLong
from rag.models.llm import check_model, stream_text
from rag.types.chat import Sampling
from rag.types.documents import Message
from tests.conformance.backends import BACKENDS, why_missing
from tests.conformance.server import free_port
from tests.conformance.tiny_model import COINS, CROWD, ENDLESS, PLAIN, REPLIES, UNICODE

pytestmark = pytest.mark.slow

LONG = 3500  # tokens of the endless reply: many seconds of work


async def ask(model, *messages, **options):
    """The pieces of the reply to `messages`."""
    sampling = Sampling(**{"max_tokens": 64, "temperature": 0.0, **options})
    return [delta async for delta in stream_text(model, messages, sampling)]


def question(character):
    return Message("user", f"How often{character}")


def text(deltas):
    return "".join(delta.text for delta in deltas)


@pytest.mark.parametrize("name", BACKENDS)
def test_the_back_end_is_tested_here(name):
    if reason := why_missing(name):
        pytest.skip(f"{name}: {reason}")


async def test_a_reply_comes_in_pieces_and_says_why_it_ended(backend):
    deltas = await ask(backend.open(PLAIN), question(PLAIN))
    assert text(deltas) == REPLIES[PLAIN]
    assert len([delta for delta in deltas if delta.text]) == 8
    assert [delta.finish_reason for delta in deltas if delta.finish_reason] == ["stop"]


async def test_usage_counts_the_whole_prompt_and_the_reply(backend):
    backend.must("usage")
    model = backend.open(PLAIN)
    short, long = [(await ask(model, Message("user", words + PLAIN)))[-1].usage for words in ("Oil", "Oil " * 50)]
    assert short.completion_tokens in {8, 9}  # the end token may count
    assert long.completion_tokens == short.completion_tokens
    assert long.prompt_tokens - short.prompt_tokens >= 49
    if backend.can("prompt count"):
        assert await asyncio.to_thread(model.count_prompt, [Message("user", "Oil" + PLAIN)]) == short.prompt_tokens


async def test_a_stop_text_ends_the_reply_and_is_not_part_of_it(backend):
    deltas = await ask(backend.open(PLAIN), question(PLAIN), stop=("never said", "90"))
    assert text(deltas).rstrip() == "The pump needs oil every"
    assert [delta.finish_reason for delta in deltas if delta.finish_reason] == ["stop"]


async def test_the_longest_reply_is_max_tokens_and_says_so(backend):
    deltas = await ask(backend.open(PLAIN), question(PLAIN), max_tokens=3)
    assert text(deltas) == "The pump needs"
    assert [delta.finish_reason for delta in deltas if delta.finish_reason] == ["length"]


async def test_a_seed_makes_a_reply_repeatable(backend):
    backend.must("chance")
    model = backend.open(COINS)
    first, again, other = [
        text(await ask(model, question(COINS), temperature=1.0, seed=seed, max_tokens=40)) for seed in (7, 7, 8)
    ]
    assert first == again
    assert first != other
    assert set(first.split()) == set(REPLIES[COINS].split())


async def test_temperature_zero_leaves_nothing_to_chance(backend):
    backend.must("chance")
    model = backend.open(COINS)
    replies = {text(await ask(model, question(COINS), temperature=0.0, max_tokens=40)) for _ in range(3)}
    assert len(replies) == 1
    assert replies.pop().startswith(" heads")


async def test_a_character_never_comes_in_halves(backend):
    deltas = await ask(backend.open(UNICODE), question(UNICODE))
    assert text(deltas) == REPLIES[UNICODE]
    assert all("\N{REPLACEMENT CHARACTER}" not in delta.text for delta in deltas)
    assert all(delta.text.encode().decode() == delta.text for delta in deltas)  # no surrogates


async def test_a_strict_template_gets_every_word_of_a_loose_conversation(backend):
    """Mistral's takes no system message, and no two turns of the same role in a row."""
    turns = [Message("system", "Cite."), Message("user", "A"), Message("user", "B"), Message("assistant", "C")]
    deltas = await ask(backend.open(PLAIN), *turns, question(PLAIN))
    assert text(deltas) == REPLIES[PLAIN]
    if backend.can("usage"):
        turns[0] = Message("system", "Cite. " * 100)
        longer = await ask(backend.open(PLAIN), *turns, question(PLAIN))
        assert longer[-1].usage.prompt_tokens - deltas[-1].usage.prompt_tokens >= 99


async def test_a_prompt_that_is_too_long_is_refused_and_the_next_is_answered(backend):
    backend.must("window")
    model = backend.open(PLAIN)
    with pytest.raises(BackendRejected) as raised:
        await ask(model, Message("user", "word " * 5000 + PLAIN))
    assert isinstance(raised.value, PromptTooLong) is backend.can("too long")
    assert "RAG_LLM__CONTEXT_WINDOW" in raised.value.hint
    assert text(await ask(model, question(PLAIN))) == REPLIES[PLAIN]


async def test_64_questions_at_once_get_each_its_own_reply(backend):
    models = {character: backend.open(character) for character in (CROWD if backend.name == "scripted" else CROWD[0])}
    one = next(iter(models.values()))
    assert len(CROWD) == 64
    answers = await asyncio.gather(*(ask(models.get(character, one), question(character)) for character in CROWD))
    assert [text(answer) for answer in answers] == [REPLIES[character] for character in CROWD]


async def test_a_reader_who_leaves_ends_the_work(backend):
    backend.must("work unread")
    model = backend.open(ENDLESS)
    began = time.monotonic()
    assert text(await ask(model, question(ENDLESS), max_tokens=300)) == REPLIES[ENDLESS] * 150
    a_part = time.monotonic() - began

    deltas = stream_text(model, [question(ENDLESS)], Sampling(max_tokens=LONG, temperature=0))
    async with aclosing(deltas):
        async for _ in deltas:
            break
    began = time.monotonic()
    if backend.name == "vllm":  # it serves the next one at once in any case, but tells what it does
        await asyncio.sleep(0.5)
        written = _tokens_written(backend.server)
        await asyncio.sleep(0.5)
        assert _tokens_written(backend.server) == written
    else:
        assert text(await ask(model, question(PLAIN))) == REPLIES[PLAIN]
        assert time.monotonic() - began < a_part


def _tokens_written(server):
    return re.search(r"^vllm:generation_tokens_total\{.*?\} (\S+)$", server.text("/metrics"), re.MULTILINE)[1]


async def test_no_first_token_in_time_is_an_error(backend):
    backend.must("time limit")
    limit = 0.5 if backend.server else 0.0001
    silence = backend.server.silent() if backend.server else nullcontext()
    model = backend.open(PLAIN, first_token_timeout=limit)
    began = time.monotonic()
    with silence, pytest.raises(BackendUnavailable, match=f"{limit:g} s") as raised:
        await ask(model, Message("user", "Read this first. " * 100 + PLAIN))  # no part of it was read before
    assert time.monotonic() - began < 30
    assert "RAG_LLM__FIRST_TOKEN_TIMEOUT" in raised.value.hint
    assert text(await ask(backend.open(PLAIN), question(PLAIN))) == REPLIES[PLAIN]


async def test_no_next_token_in_time_is_an_error_after_the_text_that_came(backend):
    backend.must("silence")
    model = backend.open(ENDLESS, inter_token_timeout=0.5)
    deltas = stream_text(model, [question(ENDLESS)], Sampling(max_tokens=LONG, temperature=0))
    async with aclosing(deltas):
        assert "again" in (await anext(deltas)).text
        with backend.server.silent(), pytest.raises(BackendUnavailable, match=r"0\.5 s"):
            await _read_out(deltas)


async def test_a_server_that_was_never_there_is_known_to_be_dead(backend):
    backend.must("death")
    await _fails_soon(ask(backend.open(PLAIN, base_url=f"http://127.0.0.1:{free_port()}/v1"), question(PLAIN)))


async def test_a_server_that_is_killed_in_the_middle_leaves_an_error_and_then_is_known_to_be_dead(backend):
    backend.must("death")
    model = backend.open(ENDLESS)
    deltas = stream_text(model, [question(ENDLESS)], Sampling(max_tokens=LONG, temperature=0))
    async with aclosing(deltas):
        assert "again" in (await anext(deltas)).text
        backend.server.kill()
        with pytest.raises(BackendUnavailable) as raised:
            await _read_out(deltas)
    assert backend.server.base_url in raised.value.message
    assert raised.value.hint
    for call in (ask(model, question(PLAIN)), check_model(model)):
        await _fails_soon(call)


async def _fails_soon(call):
    began = time.monotonic()
    with pytest.raises(BackendUnavailable, match=r"127\.0\.0\.1") as raised:
        await call
    assert "RAG_LLM__BASE_URL" in raised.value.hint
    assert time.monotonic() - began < 10  # the client's own retries take 11 s


async def _read_out(deltas):
    async for _ in deltas:
        pass
