"""Who asks, and the one function that says what they may: `may`.

A principal is a user, or an API key that stands for its user and may be narrowed. What belongs to somebody is a
collection, which can be shared, or something of one's own (an upload, a kept answer), which cannot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rag.types.documents import LOCAL_NAME, LOCAL_PRINCIPAL, Collection, Owned

OF_THIS_MACHINE = Owned(LOCAL_PRINCIPAL)

# read: search, ask, download. write: add, change and delete documents. manage: rename, share and delete as a whole.
Action = Literal["read", "write", "manage"]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. `key_id` is that of the key they ask with, if any; `collections` are the only ones that it reaches
    (None: no limit)."""

    id: str
    name: str
    is_admin: bool = False
    read_only: bool = False
    collections: frozenset[str] | None = None
    key_id: str = ""

    @property
    def runs_footnote(self) -> bool:
        """Whether it may read how Footnote is set up: an admin, with no key for some collections only."""
        return self.is_admin and self.collections is None


LOCAL = Principal(LOCAL_PRINCIPAL, LOCAL_NAME, is_admin=True)


def may(principal: Principal, action: Action, thing: Collection | Owned) -> bool:
    """Whether the principal may do that with the thing.

    Owners and admins may do everything, those with whom a collection is shared (everybody, if it is public) may read
    it. A key never may more than its user: a read-only one reads, a limited one reaches its collections, what it
    uploaded itself, and the answers it got itself.
    """
    if principal.read_only and action != "read":
        return False
    is_owner = principal.is_admin or thing.owner_id == principal.id
    if isinstance(thing, Owned):
        return is_owner and (principal.collections is None or thing.key_id == principal.key_id)
    if principal.collections is not None and (thing.id not in principal.collections or action == "manage"):
        return False
    return is_owner or (action == "read" and (thing.is_public or principal.id in thing.readers))
