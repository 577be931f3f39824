"""Counting tokens as an embedding model does, from a description that can be sent to another process."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from rag.text import Span

WORDS = ""  # the description of a tokenizer for which each run of non-space characters is a token

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
