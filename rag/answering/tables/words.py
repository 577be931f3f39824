"""The words of questions to tables, as table_words.toml has them, and how words are compared: folded, by stems."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Mapping
from functools import cache
from pathlib import Path

Words = tuple[str, ...]

_WORD = re.compile(r"[^\W_]+|[€$£¥%]")
_INFLECTION = re.compile(r"(?:en|es|er|e|s|n|x)$")
_SHORTEST_STEM = 4  # letters


def folded(text: str) -> str:
    """Small letters without accents."""
    return "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))


def words_of(text: str) -> Words:
    """The words of a name or a cell, folded."""
    return tuple(_WORD.findall(folded(text)))


def stem(word: str) -> str:
    """A word without what inflection adds in one of the four languages, roughly."""
    bare = _INFLECTION.sub("", word)
    return bare if len(bare) >= _SHORTEST_STEM else word


@cache
def vocabulary() -> Mapping[str, Mapping[str, frozenset[Words]]]:
    """Group → entry → the phrases that say it, folded."""
    groups = tomllib.loads((Path(__file__).parents[1] / "table_words.toml").read_text(encoding="utf-8"))
    return {
        group: {name: frozenset(map(words_of, phrases)) for name, phrases in entries.items()}
        for group, entries in groups.items()
    }


@cache
def phrases(group: str) -> Mapping[Words, str]:
    """Phrase → the entry of the group that it says."""
    return {phrase: name for name, entry in vocabulary()[group].items() for phrase in entry}


def concept_of(word: str) -> frozenset[str]:
    """The concepts that a word can mean."""
    return frozenset(name for name, entry in vocabulary()["concepts"].items() if (word,) in entry)
