"""Places in lists: those of what is there, and of what was deleted, so that a client can go on from where it was.

The database itself notes where stood what is deleted (see `former_places` in database.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rag.errors import NotFound
from rag.storage.database import Database


@dataclass(frozen=True, slots=True)
class Place:
    """Where an item stands, or stood: its number may have gone to one that came later."""

    number: int
    is_former: bool


def find_place(database: Database, item_id: str, select: str, values: Sequence[object], list_name: str) -> Place:
    """The place that the query tells of an item, else its last one in the list. Raises NotFound."""
    if rows := database.read(select, values):
        return Place(rows[0][0], is_former=False)
    if rows := database.read("SELECT place FROM former_places WHERE list = ? AND id = ?", (list_name, item_id)):
        return Place(rows[0][0], is_former=True)
    raise NotFound(f"There is no {item_id!r} in this list.", hint="Name the last item of the page before.")
