"""What servers say of a prompt that is too long, in their own words, and what is read out of it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from rag.models.prompt_overflow import PromptOverflow, read_overflow

REFUSALS = tomllib.loads(Path(__file__).with_name("prompt_overflows.toml").read_text(encoding="utf-8"))["refusal"]
OTHERS = (
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    "top_k must be at least 5",
    "Rate limit reached. Please try again in 20s.",
    "Conversation roles must alternate user/assistant/user/assistant/...",
    "Input validation error: `temperature` must be strictly positive",
    "max_tokens is too large: 40960. This model supports at most 16384 completion tokens.",
    "",
)


@pytest.mark.parametrize("refusal", REFUSALS, ids=[refusal["who"] for refusal in REFUSALS])
def test_a_refusal_is_read(refusal):
    expected = {name: value for name, value in refusal.items() if name not in ("who", "words")}
    assert read_overflow(refusal["words"]) == PromptOverflow(**expected)


@pytest.mark.parametrize("words", OTHERS)
def test_what_is_about_something_else_is_not_taken_for_one(words):
    assert read_overflow(words) is None


def test_only_the_beginning_of_a_page_is_read():
    assert read_overflow("x" * 100_000 + "the prompt is too long") is None
