"""What the check of an answer found: lines of Markdown under it, and for each footnote the statements that cite it."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag.text.markers import without_markers
from rag.ui.markdown import escape, plain_line

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


def statements(answer: Answer, translations: Translations) -> dict[int, list[Statement]]:
    """The checked sentences by the number of the footnote they cite; those that cite none by 0."""
    by_number = defaultdict(list)
    for claim in answer.claims:
        statement = Statement(_sentence(answer.text, claim), claim.verdict, translations.of_engine(claim.reason))
        for number in claim.numbers or (0,):
            by_number[number].append(statement)
    return dict(by_number)


def check_notice(answer: Answer, translations: Translations) -> str:
    """Each sentence that its source does not bear out, with the reason; or one quiet line when all are; or nothing
    when there was nothing to check."""
    claims = answer.claims
    if not claims:
        return ""
    doubtful = [claim for claim in claims if claim.verdict != "supported"]
    if not any(claim.numbers for claim in claims):
        return f"⚠ {translations('names_no_source')}"
    if not doubtful:
        attributed = sum(claim.attributed for claim in claims)
        found = f" {translations.counted('attributed', attributed)}" if attributed else ""
        return f"*{translations.counted('checked', len(claims))}{found}*"
    return "\n".join(f"- {_doubt(answer.text, claim, translations)}" for claim in doubtful)


def _doubt(text: str, claim: Claim, translations: Translations) -> str:
    sentence = _sentence(text, claim)
    if len(sentence) > SHOWN:
        space = sentence.rfind(" ", 0, SHOWN)
        sentence = sentence[: space if space > SHOWN // 2 else SHOWN] + " …"  # Chinese and addresses have no spaces
    if not claim.numbers:
        return f"⚠ {translations('without_source')} “{escape(sentence)}”"
    lead = translations("partly" if claim.verdict == "partly" else "unsupported")
    return f"⚠ {lead} “{escape(sentence)}” ({escape(translations.of_engine(claim.reason))})"


def _sentence(text: str, claim: Claim) -> str:
    return plain_line(_ADORNMENT.sub("", without_markers(text[claim.start : claim.end])))
