"""The documents as one principal may reach them: every way from a name or an id to something stored goes through here.

What a principal may not read does not exist for it: NotFound. What it may read but not change: Forbidden.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rag.auth.principals import Action, Principal, may
from rag.errors import Forbidden, InvalidRequest, NotFound, StorageUnwritable
from rag.storage import schema
from rag.storage.catalog import DEFAULT_COLLECTION, Catalog, unknown_document
from rag.storage.files import FileRecord, FileRecords, unknown_file
from rag.storage.paging import Cursor, Page
from rag.storage.response_conversations import ConversationRecord, ResponseConversations, unknown_conversation
from rag.storage.responses import ResponseRecord, ResponseRecords, unknown_response
from rag.storage.rows import upsert
from rag.storage.selection import EVERYTHING, Selection, scope_of_all
from rag.storage.uploads import Upload, Uploads, unknown_upload
from rag.storage.vector_stores import VectorStore, VectorStores
from rag.types.documents import LOCAL_PRINCIPAL, Collection, Document, Owned, Scope


@dataclass(frozen=True, slots=True)
class Access:
    """What `principal` may reach of the catalog. Methods block for milliseconds; all that take a name or an id raise
    NotFound and Forbidden. `unwritable`, where that is given, is raised by all that anything is to be changed by."""

    catalog: Catalog
    principal: Principal
    unwritable: StorageUnwritable | None = None

    # ------------------------------------------------------------------------------------------------ collections

    def collections(self) -> list[Collection]:
        """The collections that may be read, by title, one's own before others' of the same title."""
        found = [collection for collection in self.catalog.collections() if may(self.principal, "read", collection)]
        return sorted(found, key=lambda collection: (collection.title, self._distance(collection)))

    def names(self) -> dict[str, Collection]:
        """What the collections that may be read are called, each by another name: its title, or its id where another
        one has the title already or there is none."""
        names: dict[str, Collection] = {}
        for collection in self.collections():
            title = collection.title
            names[collection.id if not title or title in names else title] = collection
        return names

    def collection(self, name: str, action: Action = "read") -> Collection:
        """The collection of that id, name or title; of several, one's own."""
        found = [c for c in self.catalog.collections_called(name) if may(self.principal, "read", c)]
        if not found:
            known = ", ".join(self.names()) or "none"
            raise NotFound(f"There is no collection {name!r}.", hint=f"There are: {known}.")
        best = min(found, key=lambda c: (c.id != name, self._distance(c)))
        if not may(self.principal, action, best):
            raise Forbidden(f"The collection {name!r} can only be read by you.", hint="Ask its owner to change it.")
        self._require_writable(action)
        return best

    def default_collection(self, action: Action = "read") -> Collection:
        """The one collection that is meant where none is named: one's own `default`, made when it is first needed, or
        the only one of a limited key. Raises Forbidden when a key may neither have one nor reach one so, InvalidRequest
        when it has several."""
        if self.principal.collections is None:
            for collection in self.default_collections():
                if collection.owner_id == self.principal.id and may(self.principal, action, collection):
                    self._require_writable(action)
                    return collection
            self.require_own()
            return self.collection(self.stores.own(self.principal.id, DEFAULT_COLLECTION))
        found = [collection for collection in self.default_collections() if may(self.principal, action, collection)]
        if len(found) != 1:
            raise InvalidRequest("This key is for several collections, or none.", hint="Name one of them.")
        self._require_writable(action)
        return found[0]

    def default_collections(self) -> list[Collection]:
        """The collections that are asked where none is named: all of a limited key; else one's own `default` and the
        machine's, as far as they may be read. Others', shared or not, are asked by name only: nobody can put words into
        the answers of people who have not asked for them."""
        if self.principal.collections is not None:
            return self.collections()
        called = sorted(self.catalog.collections_called(DEFAULT_COLLECTION), key=self._distance)
        owners = (self.principal.id, LOCAL_PRINCIPAL)
        return [each for each in called if each.owner_id in owners and may(self.principal, "read", each)]

    @property
    def may_own(self) -> bool:
        """Whether the principal may have collections of its own, and share them."""
        return not self.principal.read_only and self.principal.collections is None

    def require_own(self) -> None:
        """Raises Forbidden when the principal may not have a collection of its own."""
        if not self.may_own:
            raise Forbidden("This key cannot make a collection.", hint="It is limited: use another key.")
        self._require_writable("manage")

    def require_admin(self) -> None:
        """Raises Forbidden when the principal is no admin, or has a key for some collections only."""
        if not self.principal.runs_footnote:
            raise Forbidden("Only an admin may do that.", hint="`rag users admin NAME` makes one.")

    def scope(self, collection: str | None = None, selection: Selection = EVERYTHING) -> Scope:
        """What a question to a collection, or a part of it, may search; None means `default_collections`. Raises
        InvalidRequest."""
        found = self.default_collections() if collection is None else [self.collection(collection)]
        return scope_of_all(self.catalog, [each.id for each in found], selection)

    def scope_of_all(self, collections: Sequence[str], selection: Selection = EVERYTHING) -> Scope:
        """What a question to several collections at once may search. Raises InvalidRequest."""
        return scope_of_all(self.catalog, [self.collection(name).id for name in collections], selection)

    # ---------------------------------------------------------------------------------------------- vector stores

    @property
    def stores(self) -> VectorStores:
        """All vector stores: for what is under an id that was looked up here."""
        return VectorStores(self.catalog.database)

    def store(self, store_id: str, action: Action = "read") -> VectorStore:
        """A collection as a vector store."""
        return self.stores.get(self.collection(store_id, action).id)

    def touch(self, scope: Scope) -> None:
        """Note that the scope's vector stores were used."""
        for collection_id in scope.collection_ids:
            self.stores.touch(collection_id)

    # -------------------------------------------------------------------------------- documents, uploads and answers

    def document(self, document_id: str, action: Action = "read") -> Document:
        """A document of a collection that may be reached."""
        document = self.catalog.document(document_id)
        self._require(action, self.catalog.collection(document.collection), unknown_document(document_id))
        return document

    def documents(self, collection: str | None = None) -> list[Document]:
        """The documents of a collection, None meaning `default_collections`, by source."""
        found = self.default_collections() if collection is None else [self.collection(collection)]
        return [document for each in found for document in self.catalog.documents(each.id)]

    def file(self, file_id: str, action: Action = "read") -> FileRecord:
        """An uploaded file."""
        record = FileRecords(self.catalog.database).get(file_id)
        self._require(action, record.owned, unknown_file(file_id))
        return record

    def files(self, cursor: Cursor, purpose: str | None) -> Page[FileRecord]:
        """One's own uploads, a part of the list: see `FileRecords.page`."""
        return FileRecords(self.catalog.database).page(self.principal.id, self._only_key, cursor, purpose)

    def require_writing(self) -> None:
        """Raises Forbidden when the principal may only read."""
        if self.principal.read_only:
            raise Forbidden("This key can only read.", hint="Use another key.")
        self._require_writable("write")

    def response(self, response_id: str, action: Action = "read") -> ResponseRecord:
        """An answer that was kept."""
        record = ResponseRecords(self.catalog.database).get(response_id)
        self._require(action, record.owned, unknown_response(response_id))
        return record

    def conversation(self, conversation_id: str, action: Action = "read") -> ConversationRecord:
        """A conversation of responses."""
        record = ResponseConversations(self.catalog.database).get(conversation_id)
        self._require(action, record.owned, unknown_conversation(conversation_id))
        return record

    def upload(self, upload_id: str) -> Upload:
        """An upload whose parts are still to come."""
        upload = Uploads(self.catalog.database).get(upload_id)
        self._require("write", upload.owned, unknown_upload(upload_id))
        return upload

    @property
    def owned(self) -> Owned:
        """To whom belongs what the principal uploads or has answered."""
        return Owned(self.principal.id, self._only_key or "")

    @property
    def _only_key(self) -> str | None:
        return None if self.principal.collections is None else self.principal.key_id

    def _require(self, action: Action, thing: Collection | Owned, unknown: NotFound) -> None:
        if not may(self.principal, "read", thing):
            raise unknown
        if not may(self.principal, action, thing):
            raise Forbidden("That can only be read by you.", hint="Its owner may change it, with a key that can write.")
        self._require_writable(action)

    def _require_writable(self, action: Action) -> None:
        if action != "read" and self.unwritable is not None:
            raise self.unwritable.with_traceback(None)

    def _distance(self, collection: Collection) -> tuple[bool, bool]:
        """One's own come first, then the machine's, then others'."""
        return collection.owner_id != self.principal.id, collection.owner_id != LOCAL_PRINCIPAL


def share(
    catalog: Catalog,
    collection_id: str,
    *,
    add: Iterable[str] = (),
    delete: Iterable[str] = (),
    public: bool | None = None,
) -> Collection:
    """Add and delete readers of a collection (ids of principals), and say whether everybody may read it; None leaves
    that as it is. Blocking, milliseconds. Raises NotFound."""
    with catalog.database.transaction() as connection:
        connection.executemany(
            upsert(schema.shares), [{"collection_id": collection_id, "principal_id": reader} for reader in add]
        )
        connection.executemany(
            "DELETE FROM shares WHERE collection_id = :collection AND principal_id = :reader",
            [{"collection": collection_id, "reader": reader} for reader in delete],
        )
        if public is not None:
            connection.execute(
                "UPDATE collections SET is_public = :public WHERE id = :id", public=public, id=collection_id
            )
    return catalog.collection(collection_id)
