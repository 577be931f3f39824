"""Text that speaks to the assistant instead of the reader: known turns of phrase, in several languages.

It marks, it does not judge: a manual about prompts is marked too, and whoever words an order in a new way is not. What
keeps orders apart from questions is the fence (rag/answering/context.py).
"""

from __future__ import annotations

import re
import unicodedata

from rag.text.injection_patterns import CUES, LINE_CUES, WEAK_CUES
from rag.text.unicode import smuggles, without_any_invisible

_MIXED = re.compile(r"\b(?=\w*[a-z])(?=\w*[\u0370-\u03ff\u0400-\u052f])\w+")  # Latin, Greek and Cyrillic in one word
_LATIN_LOOK = str.maketrans("аеорсухіјѕԁһӏԛԝвкмнтгαοενρτυικ", "aeopcyxijsdhlqwbkmhtraoevptuik")


def addresses_assistant(text: str) -> bool:
    """Whether `text` holds words meant for a language model: orders, role headers, a chat template's control tokens, or
    anything spelled in invisible characters."""
    if smuggles(text):
        return True
    lines = _folded(text)
    wrapped = " ".join(lines)
    if any(cue.is_in(wrapped) for cue in CUES) or any(cue.is_in("\n".join(lines)) for cue in LINE_CUES):
        return True
    return sum(cue.is_in(wrapped) for cue in WEAK_CUES) >= 2


def _folded(text: str) -> list[str]:
    """The lines of `text` as they look, for comparing; no empty ones."""
    if not text.isascii():
        text = without_any_invisible(unicodedata.normalize("NFKC", text)).replace("’", "'")
    text = text.casefold()
    if not text.isascii():
        text = _MIXED.sub(lambda word: word[0].translate(_LATIN_LOOK), text)
    return [words for line in text.splitlines() if (words := " ".join(line.split()))]
