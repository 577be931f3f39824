"""The chat's texts in every language it speaks, from the files in languages/. Nothing here imports Chainlit.

Errors of rag/errors.py stay English. What the engine says on its way (progress, why a statement is doubted) is English
too, and translated here by its form.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "languages"
LANGUAGES = ("en", "de", "fr", "es")  # the first one is for all others

_FIELD = re.compile(r"\\\{(\w+)\\\}")  # of an escaped template


@dataclass(frozen=True, slots=True)
class Translations:
    """The texts of one language, by section and name."""

    language: str
    sections: Mapping[str, Mapping[str, str]]

    def __call__(self, name: str, /, **values: object) -> str:
        """A text of the chat, with the values filled in."""
        return self.sections["chat"][name].format(**values)

    def counted(self, name: str, count: int) -> str:
        """A number of things."""
        return self(f"{name}_one" if count == 1 else f"{name}_many", count=count)

    def of_engine(self, sentence: str) -> str:
        """A sentence of the engine's, which are English, in this language where it is known."""
        for name, pattern in _patterns():
            if match := pattern.fullmatch(sentence):
                return self.sections["engine"][name].format(**match.groupdict())
        return sentence


def translations_in(tag: str) -> Translations:
    """The texts for a browser's language, such as `de-AT`, or the first of those it accepts (`fr, en;q=0.5`)."""
    language = re.split(r"\W", tag.lower(), maxsplit=1)[0]
    return _read(language if language in LANGUAGES else LANGUAGES[0])


@cache
def _read(language: str) -> Translations:
    return Translations(language, tomllib.loads((FOLDER / f"{language}.toml").read_text(encoding="utf-8")))


def current_translations() -> Translations:
    """The texts for whoever is chatting; to be called in one of Chainlit's hooks."""
    import chainlit as cl

    return translations_in(getattr(cl.context.session, "language", ""))


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    """How the engine's sentences look, those with most words of their own first."""
    templates = translations_in(LANGUAGES[0]).sections["engine"]
    by_words = sorted(templates.items(), key=lambda item: -len(re.sub(r"\{\w+\}", "", item[1])))
    return [(name, re.compile(_FIELD.sub(r"(?P<\1>.+)", re.escape(template)))) for name, template in by_words]
