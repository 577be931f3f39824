"""What Footnote itself says in answers, in the language of the question: the texts of replies.toml."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

from rag.answering.message_kinds import language_of

_Texts = dict[str, dict[str, str]]


def reply_to(question: str, name: str, /, **values: object) -> str:
    """A text in the language of the question, with the values filled in. Blocking, for the language is learnt first."""
    return _texts()[language_of(question)][name].format(**values)


def says_not_found(text: str) -> bool:
    """Whether the text says, in any language, that the documents do not tell."""
    return any(texts["not_found"] in text for texts in _texts().values())


@cache
def _texts() -> _Texts:
    return tomllib.loads(Path(__file__).with_name("replies.toml").read_text(encoding="utf-8"))
