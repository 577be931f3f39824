"""Counting tokens as an embedding model does, from a description that can be sent to another process."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from rag.text import Span

WORDS = ""  # the description of a tokenizer for which each run of non-space characters is a token

_WORD = re.compile(r"[^\W\d_]+")
TokenSpans = Callable[[str], list[Span]]  # the character span of every token of a text, without special tokens


@lru_cache(maxsize=2)  # of two descriptions of half a megabyte each
def token_spans(tokenizer: str) -> TokenSpans:
    """How the tokenizer, described in the JSON of the `tokenizers` library, divides a whole text; see `WORDS`, too."""
    if tokenizer == WORDS:
        return lambda text: [match.span() for match in re.finditer(r"\S+", text)]
    from tokenizers import Tokenizer

    model = Tokenizer.from_str(tokenizer)
    model.no_truncation()
    model.no_padding()
    return lambda text: list(model.encode(text, add_special_tokens=False).offsets)


def fertility(text: str, token_spans: TokenSpans) -> float:
    """Tokens a word, at least 1: how well a tokenizer, and so its model, knows the language of `text`.

    Rust et al., "How Good is Your Tokenizer?" (ACL 2021): about 1.1 for English in an English vocabulary, 1.8 for
    Spanish. Numbers are left out; text without any word gives 1.
    """
    words = _WORD.findall(text)
    return len(token_spans(" ".join(words))) / len(words) if words else 1.0
