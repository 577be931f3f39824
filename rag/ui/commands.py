"""Commands in the composer: another mode for one question, and a search that shows the hits and asks no model."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import chainlit as cl

from rag.types.documents import Citation
from rag.ui.answer.footnotes import elements, footnotes, page_names
from rag.ui.markdown import escape, mark
from rag.ui.settings_panel import offered_modes
from rag.ui.translations import current_translations
from rag.ui.turns import turn_metadata

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainlit.types import CommandDict

    from rag.answering.modes.request import Mode
    from rag.auth.access import Access
    from rag.operations.services import Services
    from rag.types.documents import Hit
    from rag.ui.translations import Translations

FIND = "find"
HITS = 10
LONGEST_SNIPPET = 300  # characters
_ICONS: dict[Mode, str] = {"summarize": "scroll-text", "plan": "list-checks", "compare": "columns-2"}


def commands(services: Services, translations: Translations) -> list[CommandDict]:
    """What can be typed after a slash. Blocking: the models are looked up."""
    modes = [
        (str(mode), translations(f"mode_{mode}"), _ICONS[mode]) for mode in offered_modes(services) if mode in _ICONS
    ]
    return [
        {"id": name, "description": description, "icon": icon, "button": False, "persistent": False, "selected": False}
        for name, description, icon in [*modes, (FIND, translations("find"), "search")]
    ]


def mode_of(command: str | None) -> Mode | None:
    """The mode that a command stands for, if it stands for one."""
    return next((mode for mode in _ICONS if mode == command), None)


async def show_hits(hits: Sequence[Hit], question_id: str, access: Access) -> None:
    """The hits as a list, each with a footnote that opens its place."""
    citations = [_citation(number, hit) for number, hit in enumerate(hits, start=1)]
    translations = current_translations()
    lines = [_line(citation, hit, translations) for citation, hit in zip(citations, hits, strict=True)]
    message = cl.Message("\n\n".join(lines) or translations("found_none"))
    notes = await asyncio.to_thread(footnotes, citations, access.catalog, translations, {})
    message.elements = elements(message.id, cl.context.session.thread_id, notes)
    message.metadata = turn_metadata(question_id, None, citations)
    await message.send()


def _citation(number: int, hit: Hit) -> Citation:
    chunk = hit.chunk
    first, last = hit.snippet
    return Citation(
        number=number,
        document_id=chunk.document_id,
        title=hit.title,
        source=hit.source,
        page_index=chunk.page_index,
        page_label=chunk.page_label,
        heading=chunk.heading,
        quote=chunk.text[first:last],
        start=chunk.start + first,
        end=chunk.start + last,
    )


def _line(citation: Citation, hit: Hit, translations: Translations) -> str:
    place = ", ".join(
        filter(None, [citation.title, *page_names(citation.page_index, citation.page_label, translations)])
    )
    quote = " ".join(citation.quote.split())
    if len(quote) > LONGEST_SNIPPET:
        quote = f"{quote[:LONGEST_SNIPPET].rpartition(' ')[0]} …"
    likely = translations("probability", probability=f"{hit.probability:.0%}")
    return f"**{escape(place)}** {mark(citation.number)} · {likely}\n\n> {escape(quote)}"
