"""What the check of an answer found: one line under it, which opens on the doubtful sentences, and for each footnote
the statements that cite it."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag.text.markers import without_markers
from rag.ui.markdown import plain_line

if TYPE_CHECKING:
    from rag.types.documents import Answer, Claim, Verdict
    from rag.ui.translations import Translations

SHOWN = 160  # characters of a doubtful sentence
_ADORNMENT = re.compile(r"^[\s>#*•–+-]+|[*_`]+")


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence of the answer without its markers, and how far its sources bear it out. `reason` is empty where they
    do."""

    sentence: str
    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True)
class Check:
    """What the check of an answer says in one line, and the doubtful sentences, a line each; all plain text."""

    summary: str
    is_doubtful: bool
    sentences: tuple[str, ...] = ()


def statements(answer: Answer, translations: Translations) -> dict[int, list[Statement]]:
    """The checked sentences by the number of the footnote they cite; those that cite none by 0."""
    by_number = defaultdict(list)
    for claim in answer.claims:
        statement = Statement(_sentence(answer.text, claim), claim.verdict, translations.of_engine(claim.reason))
        for number in claim.numbers or (0,):
            by_number[number].append(statement)
    return dict(by_number)


def check_of(answer: Answer, translations: Translations) -> Check | None:
    """What the check found, or nothing when there was nothing to check."""
    claims = answer.claims
    if not claims:
        return None
    doubtful = [claim for claim in claims if claim.verdict != "supported"]
    if not any(claim.numbers for claim in claims):
        return Check(translations("names_no_source"), is_doubtful=True)
    if doubtful:
        lines = tuple(_doubt(answer.text, claim, translations) for claim in doubtful)
        return Check(translations("not_confirmed", doubtful=len(doubtful), count=len(claims)), True, lines)
    attributed = sum(claim.attributed for claim in claims)
    found = f" {translations.counted('attributed', attributed)}" if attributed else ""
    return Check(translations.counted("checked", len(claims)) + found, is_doubtful=False)


def _doubt(text: str, claim: Claim, translations: Translations) -> str:
    sentence = _sentence(text, claim)
    if len(sentence) > SHOWN:
        space = sentence.rfind(" ", 0, SHOWN)
        sentence = sentence[: space if space > SHOWN // 2 else SHOWN] + " …"  # Chinese and addresses have no spaces
    if not claim.numbers:
        return f"{translations('without_source')} “{sentence}”"
    lead = translations("partly" if claim.verdict == "partly" else "unsupported")
    return f"{lead} “{sentence}” ({translations.of_engine(claim.reason)})"


def _sentence(text: str, claim: Claim) -> str:
    return plain_line(_ADORNMENT.sub("", without_markers(text[claim.start : claim.end])))
