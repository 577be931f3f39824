"""What kind of answer a message wants, before anything is searched: a chat, a list, a summary, a rewording.

A message that is no question to the documents is made of a small, closed vocabulary ("translate that into German",
"which documents do you have?"), and has no word of content. routing_words.toml has that vocabulary in four languages; a
message with a word that is in none of the lists is a question, unless it names what is to be summarised. A client's own
task (a title, tags, search queries) is known by the form in which clients send it.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Literal

# small_talk: no document is meant. collection: which documents there are. document: one as a whole. conversation: what
# was said before. task: of a client's, for the model alone. question: to the documents.
Kind = Literal["small_talk", "collection", "document", "conversation", "task", "question"]

_LONGEST = 25  # words; a longer message has a question of its own
_OF_SUMMARIES = ("summary", "points", "about", "holding", "edit")
_OF_REWORDING = ("edit", "said", "form", "doubt")
_YOU = frozenset({"you", "du", "sie", "tu", "vous", "usted"})
_WORD = re.compile(r"[^\W_]+(?:['’;][^\W_]+)?")
_TASK = re.compile(
    r"\s{0,9}#{2,3} ?Task\b|[^\n]{0,80}\b(?:title|tags|name)\b[^\n]{0,200}\b(?:conversation|chat)\b", re.IGNORECASE
)
_TURNS = re.compile(
    r"^[ \t]{0,9}(?:user|human|assistant|ai)[ \t]?:", re.IGNORECASE | re.MULTILINE
)  # of a quoted conversation


def route_message(message: str, *, has_history: bool = False, has_documents: bool = False) -> Kind:
    """The kind of a message. `has_documents`: some are chosen, attached or named; `has_history`: it is not the first.

    Costs no model call and well under a millisecond.
    """
    if _TASK.match(message) and (_TURNS.search(message) or "<chat_history>" in message):
        return "task"
    words = [fold(word) for word in _WORD.findall(message[:2000])]
    if not words or len(words) > _LONGEST:
        return "question"
    kinds = [kind for language in _lexicon().values() if (kind := _kind(words, language, has_history, has_documents))]
    return kinds[0] if kinds else "question"


def _kind(
    words: Sequence[str], lists: Mapping[str, frozenset[str]], has_history: bool, has_documents: bool
) -> Kind | None:
    """The kind of a message in one language; None where it has a word of content, and so is a question."""

    def only(*names: str) -> bool:
        return all(any(word in lists[name] for name in ("function", *names)) for word in words)

    def some(*names: str) -> bool:
        return any(word in lists[name] for word in words for name in names)

    opening = next((word for word in words if word not in lists["function"] - lists["asking"]), "")
    asks = words[0] in lists["asking"] and not {*words[1:2]} & _YOU  # "can you …" asks for something to be done
    is_short_form = some("summary", "points", "about")
    if only("chat", "ability") and (some("chat") or opening in lists["ability"]):
        return "small_talk"
    if has_history and not has_documents and is_short_form and some("said") and only(*_OF_SUMMARIES, "said"):
        return "conversation"
    if some("documents") and only("documents", "holding", "ability"):
        return "collection"
    if is_short_form and (has_documents or some("this_document")) and only(*_OF_SUMMARIES, "this_document"):
        return "document"
    if some("summary") and not asks:
        return "document"
    if has_history and some("edit", "said", "form", "doubt") and only(*_OF_REWORDING, "chat", "holding"):
        return "conversation"
    return None


def fold(word: str) -> str:
    """The word in small letters without accents, as routing_words.toml has it."""
    decomposed = unicodedata.normalize("NFKD", word.lower().replace("ß", "ss").replace("’", "'"))
    return "".join(character for character in decomposed if not unicodedata.combining(character))


@cache
def _lexicon() -> dict[str, dict[str, frozenset[str]]]:
    """language → list → words."""
    text = resources.files("rag.answering").joinpath("routing_words.toml").read_text("utf-8")
    lists = tomllib.loads(text)
    languages = lists["function"]
    return {
        language: {name: frozenset(words[language].split()) for name, words in lists.items()} for language in languages
    }
