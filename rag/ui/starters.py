"""Suggested questions, made from the titles and headings of the documents that are there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rag.ui.translations import Translations

STARTERS = 4
LONGEST_TOPIC = 70  # characters
PATH_SEPARATOR = "›"
NUMBERING = re.compile(
    r"^(?:(?:chapter|section|part)\s+)?(?:\d+|[IVX]+|[A-Z](?=[.):]))(?:\.\d+)*(?:[.):]\s*|\s+)", re.IGNORECASE
)
# Headings that say nothing about what one could ask.
COMMONPLACE = re.compile(
    r"(table of )?contents|introduction|preface|foreword|index|appendix|summary|overview|notes|references|general"
    r"|miscellaneous|any other business|action items|imprint|(document|revision) history|frequently asked questions"
    r"|rows? \d.*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A question on a button: what the button says, and what it asks."""

    label: str
    question: str


def suggestions(
    headings: Iterable[tuple[str, str]], translations: Translations, limit: int = STARTERS
) -> list[Suggestion]:
    """At most `limit` questions from (title, heading) pairs, from as many different documents as possible."""
    topics: dict[str, list[str]] = {}
    for title, heading in headings:
        of_title = topics.setdefault(title, [])
        topic = _topic(heading, title)
        if topic and topic not in of_title:
            of_title.append(topic)
    by_document = [
        [_suggestion(title, topic, translations) for topic in _best_first(of)] for title, of in topics.items()
    ]
    in_turn = [found for found in chain.from_iterable(zip_longest(*by_document)) if found is not None]
    without_topic = [title for title, of in topics.items() if title and not of]
    return [*in_turn, *(Suggestion(title, translations("ask_what", title=title)) for title in without_topic)][:limit]


def _topic(heading: str, title: str) -> str:
    """The last part of a heading path without its number; empty where it would make no question."""
    topic = NUMBERING.sub("", heading.rsplit(PATH_SEPARATOR, 1)[-1].strip()).strip()
    unfit = not 4 <= len(topic) <= LONGEST_TOPIC or COMMONPLACE.fullmatch(topic) or topic.lower() == title.lower()
    return "" if unfit else topic


def _best_first(topics: list[str]) -> list[str]:
    """Headings that are questions, then those from the middle, where documents have their substance."""
    middle = len(topics) // 2
    return sorted(topics, key=lambda topic: (not topic.endswith("?"), abs(topics.index(topic) - middle)))


def _suggestion(title: str, topic: str, translations: Translations) -> Suggestion:
    if topic.endswith("?"):
        return Suggestion(topic, topic)
    # The title stays on the button: in the question its words would find the cover page.
    question = translations("ask_about", topic=topic)
    return Suggestion(f"{question} · {title}", question)
