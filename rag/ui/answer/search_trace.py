"""The trace of a search: the searched question, what each of the two searches found, and what was read of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag.ui.answer.footnotes import page_names, reader_address
from rag.ui.markdown import escape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag.types.documents import Hit, Passage
    from rag.ui.translations import Translations

MOST_SHOWN = 30  # hits
_LONGEST_HEADING = 60  # characters


def search_trace(question: str, hits: Sequence[Hit], passages: Sequence[Passage], translations: Translations) -> str:
    """A table in Markdown: a line for each hit with its rank and score by meaning, by words and together, and the
    number of the passage that holds it. `question` is empty where it was searched as it was asked. Empty where nothing
    was searched."""
    if not hits:
        return ""
    heads = ("used", "place", "meaning", "words", "score")
    lines = [
        f"**{translations('trace_title')}**\n",
        f"{translations('trace_question')} “{escape(question)}”\n" if question else "",
        "| " + " | ".join(translations(f"trace_{head}") for head in heads) + " |",
        "|---" * len(heads) + "|",
        *(_line(hit, passages, translations) for hit in hits[:MOST_SHOWN]),
        "",
        translations("trace_legend"),
    ]
    return "\n".join(lines).lstrip("\n")


def _line(hit: Hit, passages: Sequence[Passage], translations: Translations) -> str:
    numbers = [str(passage.number) for passage in passages if _holds(passage, hit)]
    cells = (
        " ".join(numbers) or "–",
        _place(hit, bool(numbers), translations),
        _leg(hit.dense_rank, hit.dense_score),
        _leg(hit.lexical_rank, hit.lexical_score),
        f"{hit.score:.2f}",
    )
    return "| " + " | ".join(cells) + " |"


def _holds(passage: Passage, hit: Hit) -> bool:
    chunk = hit.chunk
    is_same = (passage.document_id, passage.page_index) == (chunk.document_id, chunk.page_index)
    return is_same and passage.start < chunk.end and chunk.start < passage.end


def _place(hit: Hit, is_read: bool, translations: Translations) -> str:
    """Document and page, and the heading if it was read: of other documents no words are kept with the answer."""
    heading = hit.chunk.heading.rsplit(" › ", 1)[-1][:_LONGEST_HEADING] if is_read else ""
    page, _ = page_names(hit.chunk.page_index, hit.chunk.page_label, translations)
    address = reader_address(hit.chunk.document_id, hit.chunk.page_index, hit.chunk.start, hit.chunk.end)
    parts = [f"[**{escape(hit.title)}**]({address})", escape(heading if heading != hit.title else ""), escape(page)]
    return " · ".join(filter(None, parts))


def _leg(rank: int | None, score: float | None) -> str:
    if rank is None:
        return "–"
    return str(rank) if score is None else f"{rank} ({score:.2f})"
