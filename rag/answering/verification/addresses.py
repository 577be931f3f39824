"""Addresses in an answer that nobody asked for: where a planted order wants a reader to go.

Orders in documents are worded like anything else, so it is not their words that tell them. Most want a link, an e-mail
address or a telephone number before the reader's eyes. One that the question neither has nor asks for, and that one
passage alone gives, is worth a second look (docs/security.md has what that finds, and what not).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rag.types.documents import Passage

_ADDRESS = re.compile(
    r"https?://[^\s<>\"')\]]{1,500}|[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}"
    r"|(?<![\w.@/-])(?:[a-z0-9-]{1,63}\.){1,4}(?:com|org|net|io|co|biz|info|app|dev|xyz|edu|gov|eu|uk|de|fr|es|ch|at|it|nl"
    r"|ru|cn)\b(?!\.\w)|\+\d[\d ()/-]{7,20}\d",
    re.IGNORECASE,
)
_ASKED_FOR = re.compile(
    r"\b(?:where|link|url|web ?sites?|sites?|address(?:es)?|e-?mails?|contact|phones?|numbers?|call|reach|write|send"
    r"|apply|register|sign up|download|log ?in|portal|online|wo|wohin|adressen?|kontakt\w*|telefon\w*|nummer|anmelde\w*"
    r"|schreibe\w*|où|adresses?|contacte[rz]?|liens?|téléphone|numéro|inscri\w+|envoye\w+|dónde|direcci\w+|correos?"
    r"|contact\w+|enlaces?|teléfono|número|enviar?)\b",
    re.IGNORECASE,
)


def unasked_address(sentence: str, question: str, passages: Sequence[Passage]) -> str:
    """The first address in a sentence of an answer that only one of the passages has and that the question neither has
    nor asks for; empty where there is none."""
    if _ASKED_FOR.search(question):
        return ""
    known = question.lower()
    for found in _ADDRESS.finditer(sentence):
        address = found[0].rstrip(".,;:!?").lower()
        if address not in known and sum(address in passage.text.lower() for passage in passages) == 1:
            return found[0]
    return ""
