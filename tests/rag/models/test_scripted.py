"""The scripted model and quotes mode."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from rag.errors import BackendUnavailable
from rag.models.llm import check_model, open_language_model, refresh_model, stream_text
from rag.models.scripted import Scripted
from rag.settings import Settings
from rag.types.chat import Sampling
from rag.types.documents import Message, Usage


def _open(**llm):
    return open_language_model(Settings(_env_file=None, llm=llm))


async def _ask(model, *messages, **options):
    options = {"max_tokens": 100, "temperature": 0, **options}
    return [delta async for delta in stream_text(model, messages, Sampling(**options))]


async def test_says_the_script_word_by_word():
    deltas = await _ask(_open(provider="scripted", script="Öl  every\n90 days [1]."), Message("user", "a b c"))
    assert [delta.text for delta in deltas] == ["Öl", "  every", "\n90", " days", " [1].", ""]
    assert deltas[-1].finish_reason == "stop"
    assert deltas[-1].usage == Usage(prompt_tokens=4, completion_tokens=5)  # `user:` counts


async def test_a_script_longer_than_max_tokens_is_cut():
    deltas = await _ask(_open(provider="scripted", script="one two three"), Message("user", "?"), max_tokens=2)
    assert "".join(delta.text for delta in deltas) == "one two"
    assert deltas[-1].finish_reason == "length"


@pytest.mark.parametrize(
    ("stop", "said"),
    [(["two"], "one"), (["three", "two"], "one"), (["hre"], "one two t"), (["four"], "one two three"), ([], None)],
)
async def test_ends_before_a_stop_text(stop, said):
    deltas = await _ask(_open(provider="scripted", script="one two three"), Message("user", "?"), stop=tuple(stop))
    assert "".join(delta.text for delta in deltas) == (said or "one two three")
    assert deltas[-1].finish_reason == "stop"
    assert deltas[-1].usage.completion_tokens == len((said or "one two three").split())


async def test_can_be_as_slow_as_a_real_model():
    slow = Scripted("one two three four five", tokens_per_second=50)
    start = time.monotonic()
    async for _ in slow.stream([], {}):
        pass
    assert time.monotonic() - start >= 0.1


async def test_the_default_reply_cites():
    assert "[1]" in "".join(delta.text for delta in await _ask(_open(provider="scripted"), Message("user", "?")))


async def test_keeps_the_prompts_it_was_given():
    model = _open(provider="scripted")
    await _ask(model, Message("system", "be brief"), Message("user", "evidence"))
    await _ask(model, Message("user", "second"))
    assert list(model.llm.prompts) == ["system: be brief\n\nuser: evidence", "user: second"]


async def test_is_always_ready():
    model = _open(provider="scripted")
    await check_model(model)
    assert await refresh_model(model) is model


async def test_quotes_mode_has_no_model_and_says_how_to_add_one():
    model = _open(provider="quotes")
    assert model.llm is None
    assert model.description.startswith("no language model: answers are quotes; ")
    assert "RAG_LLM__BASE_URL" in model.description
    await check_model(model)
    with pytest.raises(BackendUnavailable, match="no language model"):
        await _ask(model, Message("user", "?"))


def test_the_table_loads_nothing_heavy():
    program = "import sys, rag.models.llm; print(sorted({'llama_index', 'openai', 'llama_cpp'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
