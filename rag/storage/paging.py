"""Lists a page at a time: which page is wanted, and the condition of SQL that finds it behind an item of another one.

An item has a place by values of its own (a key), so that nothing is skipped or seen twice where others come or go
meanwhile. A cursor that names an item which is not there, or no more, is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rag.errors import InvalidRequest, NotFound
from rag.storage.database import Row

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[_Item]):
    """A part of a list, and whether there is more of it behind (before, where that was asked for)."""

    items: Sequence[_Item]
    has_more: bool


@dataclass(frozen=True, slots=True)
class Cursor:
    """Which part of a list is wanted: `limit` items behind `after` or before `before`, both ids."""

    after: str | None = None
    before: str | None = None
    limit: int = 20
    newest_first: bool = True

    def clauses(self, key: Sequence[str], key_of: Callable[[str], Sequence[Row]]) -> tuple[str, str, dict[str, object]]:
        """The condition, the order with the number of rows, and the values of both. `key` are the columns that the list
        is ordered by, the oldest first; `key_of` reads them of the item with an id. Raises InvalidRequest, and NotFound
        when the item is not in the list."""
        if self.after and self.before:
            raise InvalidRequest("Either after or before can be given.", param="before")
        ascends = bool(self.before) == self.newest_first
        direction = "ASC" if ascends else "DESC"
        order = f"ORDER BY {', '.join(f'{column} {direction}' for column in key)} LIMIT :limit"
        values: dict[str, object] = {"limit": self.limit + 1}
        item_id = self.after or self.before
        if not item_id:
            return "true", order, values
        rows = key_of(item_id)
        if not rows:
            raise NotFound(f"There is no {item_id!r} in this list.", hint="Name an item that is still there.")
        names = [f"key_{number}" for number in range(len(key))]
        values |= dict(zip(names, rows[0], strict=True))
        places = ", ".join(f":{name}" for name in names)
        return f"({', '.join(key)}) {'>' if ascends else '<'} ({places})", order, values

    def page(self, items: Sequence[_Item]) -> Page[_Item]:
        """What was read, as it is to be shown: one item more than is wanted tells that there are more, and what lies
        before an item was read backwards, from the item on."""
        wanted = items[: self.limit]
        return Page(wanted[::-1] if self.before else wanted, len(items) > self.limit)
