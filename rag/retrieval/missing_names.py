"""Names in a question that nothing knows which was found for it: then it is about somebody or something else.

A question about a company whose report is not there finds the same figures of another one, in much the same words. So
each run of capitalised words in the question is looked for in titles, file names and texts of the hits, written as one
word: `Best Buy` is in BESTBUY_2023_10K. In German, where every noun has a capital, that tells nothing.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePath

from rag.types.documents import Hit

_TOKEN = re.compile(r"[\w&'’-]+|[^\w\s]")
_POSSESSIVE = re.compile(r"['’]s$")
_NAME = re.compile(r"(?=.*[a-z])[A-Z][^\W\d_]*(?:[&'’-][^\W\d_]+)*$")  # acronyms are mostly measures and currencies
_ENDS_SENTENCE = frozenset(".!?:")
_ALIKE = 0.8  # as difflib has it: a name that is spelt a little otherwise
# Words with a capital at the beginning of a sentence that are no name and no part of one.
_OPENING = re.compile(
    "(?:wh(?:at|ich|ose|om?|en|ere|y)|how|do(?:es)?|did|is|are|was|were|am|has|have|had|can|could|will|would|shall|should"
    "|may|might|must|the|an?|in|on|at|of|by|for|from|to|as|with(?:in|out)?|under|during|after|before|between|into|over"
    "|about|against|through|until|if|please|tell|give|show|list|compare|explain|and|or|but|so|since|according|based|my"
    "|our|your|welche[rsnm]?|wer|wem|wen|wessen|wie|was|wann|wo|warum|wieso|weshalb|woher|wohin|d(?:er|ie|as|en|em|es)"
    "|eine?[nmrs]?|im|am|bei|mit|von|für|nach|nenne?|zeige?|liste?|gib|gibt|ist|sind|hat|haben|kann|muss|darf"
    "|que|quel(?:le)?s?|qui|quand|o[uù]|comment|combien|est|le|la|les|un|une|dans|sur|pour|de|en"
    "|[¿]?(?:qué|cuál(?:es)?|quién(?:es)?|cuándo|dónde|cómo|cuánt[oa]s?|el|los|las|una|para|por|según|a))",
    re.IGNORECASE,
)

# Languages, days and months have capitals, too.
_NO_NAME = re.compile(
    "I|English|German|French|Spanish|Italian|Dutch|Portuguese|Deutsch|Englisch|Französisch|Spanisch|Italienisch"
    "|(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days?"
    "|January|February|March|April|May|June|July|August|September|October|November|December"
)


def missing_names(question: str, hits: Sequence[Hit], least: int = 1) -> list[str]:
    """The names of `least` words or more that no hit has in its title, file name, headings or text."""
    names = [name for name in dict.fromkeys(_names(question, least)) if len(name.split()) >= least]
    if not names:
        return []
    text = " ".join(f"{hit.title} {PurePath(hit.source).stem} {hit.chunk.heading} {hit.chunk.text}" for hit in hits)
    letters, words = _letters(text), frozenset(re.findall(r"[^\W\d_]+", text))
    return [name for name in names if _letters(name) not in letters and not _are_known(name.split(), words)]


def _are_known(parts: Sequence[str], words: frozenset[str]) -> bool:
    """Whether the text has each word of the name as one, with its capital, or one that is much alike."""
    return all(part in words or difflib.get_close_matches(part, words, n=1, cutoff=_ALIKE) for part in parts)


def _names(question: str, least: int) -> Iterator[str]:
    """Runs of capitalised words, in order; not a single one with which a sentence begins. Where a name has two words at
    least, that word is none of them."""
    run: list[str] = []
    opens = begins = True  # a sentence: this token does, the run did
    for token in [*_TOKEN.findall(question), "."]:
        word = _POSSESSIVE.sub("", token)
        is_opening = opens and (least > 1 or bool(_OPENING.fullmatch(word)))
        is_name = bool(_NAME.match(word)) and not is_opening and not _NO_NAME.fullmatch(word)
        if is_name:
            begins = begins if run else opens
            run.append(word)
        if run and (not is_name or word != token):
            if len(run) > 1 or not begins or word != token:
                yield " ".join(run)
            run = []
        opens = token in _ENDS_SENTENCE or (opens and not token[0].isalnum())


def _letters(text: str) -> str:
    return "".join(character for character in text.lower() if character.isalnum())
