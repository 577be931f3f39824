"""Follow-ups without a model: whether a question leans on the one before it, so that both are searched together.

It does if it goes on ("And in 2021?"), if it is hardly more than a question word ("Since when?"), or if a word in it
stands for something ("Who signed it?") and nothing before that word in the question can be what it stands for ("When
the battery is empty, does it beep?"). docs/answers.md has what was measured.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rag.answering.message_kinds import language_of
from rag.text.analysis import terms

_FEW = 2  # words, one of which asks
_A_WORD = 4  # letters of a word that can be what another one stands for


@dataclass(frozen=True, slots=True)
class _Cues:
    """Patterns of a language: words that ask, that go on, that stand for something else, and that stand before a thing
    ("the"): a single word without one is a verb ("Who signed it?")."""

    asks: str
    goes_on: str
    stands_for: str
    determines: str


_LAST = r"(?= *(?:[?.!,]|$)"  # what follows a word that stands alone, and is no determiner
_CUES = {
    "en": _Cues(
        asks=r"(?:since|until|till|by|from)? ?(?:who|whom|whose|what|which|when|where|why|how)"
        r"(?: (?:much|many|long|often|far|not|so))?",
        goes_on="and|or|but|so|then|also|what about|how about|same|only|even then",
        # "Is it allowed to …", "does it take to …": there it stands for nothing that was said
        stands_for=r"it(?! (?:(?:is|was|be) )?(?:takes?|costs?|possible|allowed|permitted|necessary|required|mandatory"
        r"|legal|safe|common|called|means?) (?:to|that|if|for|when|me|us)\b)"
        r"|its|they|them|theirs?|he|him|his|she|hers?"
        rf"|th(?:is|at|ese|ose){_LAST}"
        r"| (?:is|are|was|were|also|apply|applies|means?|works?|happens?|includes?|ones?|per)\b)"
        r"|the (?:same|former|latter|other one|first one|second one|last one)",
        determines="the|an?|our|my|your|all|any|every|each|no|some|this",
    ),
    "de": _Cues(
        asks="(?:seit|bis|ab|von)? ?(?:wer|wen|wem|was|wann|wo|warum|wieso|weshalb|wie|wieviele?)"
        "(?: (?:lange|oft|viele?|weit|nicht))?",
        goes_on="und|oder|aber|dann|auch|nur|(?:was|wie) ist (?:es )?mit|wie sieht es mit",
        stands_for="da(?:zu|von|für|rüber|nach|bei|mit|rauf|rin|gegen)(?!, )|er|ihn|ihm|ihnen|(?-i:sie)"
        rf"|d(?:as|ies){_LAST}| (?:auch|genau|im|pro|in)\b)|das (?=ist *[?.!]|gilt|heißt|bedeutet|kostet|dauert|geht)"
        r"|es(?= *(?:[?.!]|$)| (?:etwas|noch|auch)\b)",
        determines=r"de[rnms]|die|das|eine?[rnms]?|kein\w*|unser\w*|mein\w*|alle|jede\w*|diese\w*",
    ),
    "fr": _Cues(
        asks="(?:depuis|jusqu['’]à|à partir de|pour|de)? ?(?:qui|que|quoi|quand|où|pourquoi|comment|combien)"
        "(?: de temps)?",
        goes_on="et|ou|mais|donc|alors|aussi|seulement|qu['’]en est-il",
        stands_for="ça|cela|celui-ci|celle-ci|ceux-ci|celles-ci|lui|leur"
        r"|(?:(?!a-)\w{1,30}-t|est|sont|ont|doit|peut)-(?:il|elle)s?(?! (?:possible|permis|nécessaire|interdit)\b)"
        r"|les(?= \w+e(?:nt)? *[?.!])|en(?= \w+ *[?.!])",
        determines="les?|la|l['’]|une?|des?|du|mon|mes|notre|nos|ce|cette|chaque|tous|toutes",
    ),
    "es": _Cues(
        asks="(?:desde|hasta|por|para|con|de|a)? ?(?:quién(?:es)?|qué|cuándo|dónde|cómo|cuánt[oa]s?|cuál(?:es)?)",
        goes_on="y|e|o|pero|entonces|también|solo|sólo|qué (?:hay|pasa) (?:de|con)",
        stands_for=rf"(?:es|est)[oae]{_LAST}| (?:también|es|cuesta)\b)|ello|él|ellas?|ellos|lo mismo",
        determines=r"el|las?|los|una?|mis?|nuestr\w+|este|esta|cada|todos|todas",
    ),
}
_BEGINNING = re.compile(r"[\s¿¡\"'(]{0,20}")
_ASKS = {language: re.compile(rf"(?:{cues.asks})\b\W{{0,9}}", re.IGNORECASE) for language, cues in _CUES.items()}
_GOES_ON = {language: re.compile(rf"(?:{cues.goes_on})\b", re.IGNORECASE) for language, cues in _CUES.items()}
_STANDS_FOR = {
    language: re.compile(rf"(?<![^\W_])(?<!\w-)(?:{cues.stands_for})(?![\w-])", re.IGNORECASE)
    for language, cues in _CUES.items()
}
_DETERMINES = {language: re.compile(rf"\b(?:{cues.determines})\b", re.IGNORECASE) for language, cues in _CUES.items()}


def leans_on_previous(question: str) -> bool:
    """Whether a question, in English, German, French or Spanish, says only part of what it asks."""
    language = language_of(question)
    question = question[_BEGINNING.match(question).end() :]  # type: ignore[union-attr]  # it matches nothing, too
    if _GOES_ON[language].match(question):
        return True
    words = [word for word in question.split() if any(map(str.isalnum, word))]
    if len(words) <= _FEW and any(asks.match(question) for asks in _ASKS.values()):
        return True
    asked = _ASKS[language].match(question)
    reference = _STANDS_FOR[language].search(question)
    if not reference:
        return bool(asked and asked.end() == len(question))
    before = question[asked.end() if asked else 0 : reference.start()]
    things = [term for term in terms(before) if len(term) >= _A_WORD]
    return not things or (len(things) == 1 and not _DETERMINES[language].search(before))
