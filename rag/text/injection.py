"""Text that speaks to the assistant instead of the reader: known turns of phrase, in several languages.

It marks, it does not judge: a manual about prompts is marked too, and whoever words an order in a new way is not. What
keeps orders apart from questions is the fence (rag/answering/context.py). The phrases are in injection_patterns.toml.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from functools import cache, lru_cache
from importlib.resources import files
from typing import NamedTuple

from rag.text.unicode import smuggles, without_any_invisible

_WORD = re.compile(r"\{([a-z]\w*)\}")  # in a pattern, what stands for one of the words; {0,3} is a number of times
_MIXED = re.compile(r"\b(?=\w*[a-z])(?=\w*[\u0370-\u03ff\u0400-\u052f])\w+")  # Latin, Greek and Cyrillic in one word
_LATIN_LOOK = str.maketrans("аеорсухіјѕԁһӏԛԝвкмнтгαοενρτυικ", "aeopcyxijsdhlqwbkmhtraoevptuik")


@lru_cache(maxsize=1_000)  # the pages that are found most are found with every question
def addresses_assistant(text: str) -> bool:
    """Whether `text` holds words meant for a language model: orders, role headers, a chat template's control tokens, or
    anything spelled in invisible characters."""
    if smuggles(text):
        return True
    patterns = _patterns()
    lines = _folded(text)
    wrapped = " ".join(lines)
    if patterns.line_start.search("\n".join(lines)) or any(phrases.search(wrapped) for phrases in patterns.strong):
        return True
    return sum(phrase.search(wrapped) is not None for phrase in patterns.weak) >= 2


class _Patterns(NamedTuple):
    """What is looked for: at the beginning of a line, anywhere, and what counts only beside another of its kind."""

    line_start: re.Pattern[str]
    strong: tuple[re.Pattern[str], ...]
    weak: tuple[re.Pattern[str], ...]


@cache
def _patterns() -> _Patterns:
    sections = tomllib.loads(files("rag.text").joinpath("injection_patterns.toml").read_text(encoding="utf-8"))
    words: dict[str, str] = sections.pop("words")

    def phrases(section: str) -> list[str]:
        return [
            re.sub(r"\n\s*", "", _WORD.sub(lambda word: words[word[1]], phrase))
            for of_language in sections[section].values()
            for phrase in of_language
        ]

    def compiled(start: str, phrases: list[str]) -> re.Pattern[str]:
        # One expression for all: what begins at a word is tried only there, which takes a quarter of the time.
        return re.compile(f"{start}(?:{'|'.join(phrases)})", re.MULTILINE)

    return _Patterns(
        line_start=compiled("^", phrases("line_start")),
        strong=(compiled(r"\b", phrases("word_start")), compiled("", phrases("anywhere"))),
        weak=tuple(compiled(r"\b", [phrase]) for phrase in phrases("weak")),
    )


def _folded(text: str) -> list[str]:
    """The lines of `text` as they look, for comparing; no empty ones."""
    if not text.isascii():
        text = without_any_invisible(unicodedata.normalize("NFKC", text)).replace("’", "'")
    text = text.casefold()
    if not text.isascii():
        text = _MIXED.sub(lambda word: word[0].translate(_LATIN_LOOK), text)
    return [words for line in text.splitlines() if (words := " ".join(line.split()))]
