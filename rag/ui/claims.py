"""What the check of an answer found, as lines of Markdown under it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rag.ui.markdown import escape, plain_line

if TYPE_CHECKING:
    from rag.types import Answer, Claim

SHOWN = 160  # characters of a doubtful sentence
_MARKER = re.compile(r"\s*\[\d+\]")
_ADORNMENT = re.compile(r"^[\s>#*•–+-]+|[*_`]+")


def check_notice(answer: Answer) -> str:
    """Each sentence that its source does not bear out, with the reason; or one quiet line when all are; or nothing
    when there was nothing to check."""
    claims = answer.claims
    if not claims:
        return ""
    doubtful = [claim for claim in claims if claim.verdict != "supported"]
    if not any(claim.numbers for claim in claims):
        return "⚠ This answer names no source, so nothing in it could be checked."
    if not doubtful:
        return f"*{_all_of(len(claims))} checked against {'its page' if len(claims) == 1 else 'their pages'}.*"
    return "\n".join(f"- {_doubt(answer.text, claim)}" for claim in doubtful)


def _all_of(count: int) -> str:
    return "The cited statement was" if count == 1 else f"All {count} cited statements were"


def _doubt(text: str, claim: Claim) -> str:
    sentence = plain_line(_ADORNMENT.sub("", _MARKER.sub("", text[claim.start : claim.end])))
    if len(sentence) > SHOWN:
        space = sentence.rfind(" ", 0, SHOWN)
        sentence = sentence[: space if space > SHOWN // 2 else SHOWN] + " …"  # Chinese and addresses have no spaces
    if not claim.numbers:
        return f"⚠ Without a source: “{escape(sentence)}”"
    lead = "Only partly borne out by its source" if claim.verdict == "partly" else "Not borne out by its source"
    return f"⚠ {lead}: “{escape(sentence)}” ({escape(claim.reason)})"
