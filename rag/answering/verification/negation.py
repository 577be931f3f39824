"""Whether words are said or denied: negations ("not", "no", "without", "nicht") and opposites ("rise", "fall").

A text is a sequence of words, lower-cased words as claims.py cuts them; all here works on such sequences.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_NEGATIONS = frozenset(
    (  # noqa: SIM905  (a list of 90 lines would be read by nobody)
        "not no never without none nobody nothing neither nor cannot nowhere hardly barely scarcely "
        "nicht kein keine keinen keinem keiner keines nie niemals ohne niemand nichts weder "
        "pas jamais aucun aucune sans rien ni "
        "nunca jamás ningún ninguna ninguno sin nada nadie tampoco "
        "não nem nenhum nenhuma sem senza nessun nessuno niet geen nooit zonder"
    ).split()
)
_SHORTENED = ("n't", "n’t")
# Words that deny in their meaning. They stand for a negation, but are none that another could have put in or left out.
_DENYING = re.compile(
    r"fail(?:s|ed|ing|ures?)?|lack(?:s|ed|ing)?|unable|absen(?:t|ces?)|without|exclu(?:d\w*|sions?)|prohibit\w*"
    r"|forb[ia]d\w*|refus(?:e|es|ed|ing|als?)|reject\w*|den(?:y|ies|ied|ying|ials?)|prevent\w*|avoid\w*"
    r"|except(?:s|ed|ing|ions?)?|impossib\w*|unlike\w*|unsuccess\w*|insufficien\w*|miss(?:es|ed|ing)?|few(?:er|est)?"
    r"|little|rare(?:r|st|ly)?|seldom|stop(?:s|ped|ping)?|ceas(?:e|es|ed|ing)|unnecess\w*|unaffected|independen\w*"
)
_PORTUGUESE = frozenset({"não", "em", "uma", "um", "ao", "aos", "é", "foi", "seu", "sua", "pela", "também"})
_PORTUGUESE_ENDINGS = ("ção", "ções", "sões")  # there "no" is "in the"; São Paulo is no mark of it
_AFTER_NO = frozenset(
    {"only", "merely", "just", "least", "doubt", "later", "fewer", "less", "more", "longer", "matter"}
)
_OPPOSITES = (
    "increase increased increases increasing/decrease decreased decreases decreasing decline declined declines",
    "increase increased increases increasing/reduce reduced reduces reducing reduction",
    "rise rose rises rising risen grew grow grows growth growing/fall fell falls falling fallen decline declined",
    "rise rose rises grew grow grows gain gained/drop dropped drops shrank shrink loss",
    "above over exceed exceeds exceeded/below under",
    "before prior earlier/after later following",
    "more greater higher larger bigger/less fewer lower smaller",
    "most highest largest greatest biggest/least lowest smallest fewest",
    "first/last",
    "true/false",
    "always/never",
    "maximum max/minimum min",
    "early/late",
    "inside/outside",
    "include includes included including/exclude excludes excluded excluding",
    "allowed permitted may must/forbidden prohibited",
    "win won wins winning/lose lost loses losing",
    "positive positively/negative negatively",
    "with/without",
    "enable enabled enables/disable disabled disables",
    "accept accepted accepts/reject rejected rejects",
    "start started starts begin began begins/end ended ends finish finished finishes",
    "import imported imports/export exported exports",
    "north northern/south southern",
    "east eastern/west western",
    "left/right",
    "best/worst",
    "better/worse",
    "open opened opens/close closed closes",
    "upper/lower",
    "activate activates activated activation/inhibit inhibits inhibited inhibition suppress suppresses suppressed",
    "promote promotes promoted promoting/prevent prevents prevented inhibit inhibits",
    "buy bought buys purchase purchased/sell sold sells sale",
    "presence present/absence absent",
    "agree agreed/disagree disagreed",
    "success succeeded successful/failure failed unsuccessful",
    "strong stronger/weak weaker",
    "long longer/short shorter",
    "high/low",
    "old older/new newer young younger",
    "many/few",
    "male men/female women",
    "public/private",
    "internal/external",
    "required mandatory/optional",
)


def _table() -> dict[str, frozenset[str]]:
    table: dict[str, set[str]] = {}
    for line in _OPPOSITES:
        left, right = (side.split() for side in line.split("/"))
        for mine, theirs in ((left, right), (right, left)):
            for word in mine:
                table.setdefault(word, set()).update(theirs)
    return {word: frozenset(words) for word, words in table.items()}


_OPPOSITE_OF = _table()


def negations(words: Sequence[str]) -> list[int]:
    """The places of the words that deny; "not only", "no later than", "No. 77" and Portuguese "no" deny nothing."""
    is_portuguese = "no" in words and any(w in _PORTUGUESE or w.endswith(_PORTUGUESE_ENDINGS) for w in words)
    return [
        place
        for place, word in enumerate(words)
        if (word in _NEGATIONS or word.endswith(_SHORTENED))
        and not (place + 1 < len(words) and words[place + 1] in _AFTER_NO)
        and not (word == "no" and (is_portuguese or "".join(words[place + 1 : place + 2])[:1].isdigit()))
        and not (word == "not" and place and words[place - 1] in ("or", "whether"))
    ]


def denies_in_meaning(word: str) -> bool:
    """Whether a word may deny without a negation: "fails", "unable", "lacking"."""
    return bool(_DENYING.fullmatch(word))


def opposites(word: str) -> frozenset[str]:
    """The words that say the opposite; empty for most."""
    return _OPPOSITE_OF.get(word, frozenset())
