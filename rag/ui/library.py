"""`/library`: the page on which one sees, adds, shares and deletes documents, and the routes that it calls.

The page itself (public/library.*) holds nothing; its routes ask `Access` like those of the API, and answer to the
chat's log-in.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path, PurePath
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Query, UploadFile
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field, StringConstraints

from rag.api.dependencies import AppServices, Caller
from rag.api.json_body import JsonRoute
from rag.api.route_policy import PUBLIC, SESSION, UPLOAD
from rag.auth.access import Access, share
from rag.auth.principals import may
from rag.auth.sessions import Sessions
from rag.auth.users import User, Users
from rag.errors import Forbidden, InvalidRequest, NotFound, UnsupportedFileType
from rag.operations.services import Services
from rag.storage import document_list
from rag.storage.catalog import DEFAULT_COLLECTION
from rag.storage.document_list import DocumentFilter, DocumentOrder, count_by_owner, count_documents
from rag.storage.source_files import require_in_place
from rag.text.analysis import terms
from rag.types.documents import LOCAL_NAME, LOCAL_PRINCIPAL, Collection, Document, DocumentStatus, Scope
from rag.types.ingest import IngestOptions, Job
from rag.ui.session import calling_session

router = APIRouter(prefix="/library", include_in_schema=False, route_class=JsonRoute, dependencies=[SESSION])

_PASSAGES_WITH_WORDS = 400  # that are looked at for the words of a search
_PAGE = Path(__file__).parent / "public" / "library.html"


def _admin(caller: Caller, services: AppServices) -> Access:
    """Where nobody logs in, users are made on the command line only: everybody on the machine comes here."""
    if not services.settings.is_closed:
        raise Forbidden("Nobody logs in here.", hint="`rag users` manages the users.")
    caller.require_admin()
    caller.require_writing()
    return caller


def _writable(collection_id: str, caller: Caller) -> Collection:
    return caller.collection(collection_id, "write")


Admin = Annotated[Access, Depends(_admin)]
Writable = Annotated[Collection, Depends(_writable)]
Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=256)]


class NewCollection(BaseModel):
    """A collection to make."""

    title: Title


class ChangedCollection(BaseModel):
    """What is to change of a collection; what is None stays."""

    title: Title | None = None
    public: bool | None = None
    readers: list[str] | None = Field(None, max_length=1000)


class NewUser(BaseModel):
    """A user to add."""

    name: str
    password: str = ""
    is_admin: bool = False


class ChangedUser(BaseModel):
    """What is to change of a user; what is None stays."""

    password: str | None = None
    is_admin: bool | None = None


@router.get("", dependencies=[PUBLIC])
def library_page() -> FileResponse:
    """The page."""
    return FileResponse(_PAGE, media_type="text/html; charset=utf-8")


@router.get("/me")
def me(services: AppServices, caller: Caller) -> dict[str, Any]:
    """Who looks at the page, and what may be uploaded."""
    closed = services.settings.is_closed
    return {
        "name": caller.principal.name if closed else "",
        "is_admin": closed and caller.principal.is_admin,
        "users": [user.name for user in _users(caller).all()] if closed and caller.may_own else [],
        "suffixes": sorted(services.ingest.suffixes),
        "max_upload_mb": services.settings.server.max_upload_mb,
    }


@router.delete("/me/sessions")
def log_out_everywhere(caller: Caller) -> dict[str, int]:
    """End all sessions of who asks, this one among them."""
    if not caller.may_own:
        raise Forbidden("This key cannot end sessions.", hint="It is limited: use another key.")
    return {"ended": Sessions(caller.catalog.database).end_all(caller.principal.id)}


# ------------------------------------------------------------------------------------------------------- collections


@router.get("/collections")
def list_collections(caller: Caller) -> list[dict[str, Any]]:
    """The collections that may be read; one's own `default`, which uploads of the chat go to, is among them."""
    if caller.may_own:
        caller.default_collection("write")
    collections = caller.collections()
    collections.sort(key=lambda collection: (collection.title != DEFAULT_COLLECTION, collection.title.casefold()))
    return [_collection(caller, collection) for collection in collections]


@router.post("/collections")
def create_collection(body: NewCollection, caller: Caller) -> dict[str, Any]:
    """Make a collection."""
    caller.require_own()
    store = caller.stores.create(caller.principal.id, body.title)
    return _collection(caller, caller.collection(store.id))


@router.patch("/collections/{collection_id}")
def change_collection(collection_id: str, body: ChangedCollection, caller: Caller) -> dict[str, Any]:
    """Rename or share a collection."""
    collection = caller.collection(collection_id, "manage")
    users = _users(caller)
    if body.readers is not None:
        readers = {users.get(name).id for name in body.readers}
        share(caller.catalog, collection.id, add=readers, delete=collection.readers - readers)
    share(caller.catalog, collection.id, public=body.public)
    if body.title is not None:
        caller.stores.update(collection.id, {"label": body.title})
    return _collection(caller, caller.collection(collection.id))


@router.delete("/collections/{collection_id}")
def delete_collection(collection_id: str, services: AppServices, caller: Caller) -> dict[str, bool]:
    """Delete a collection with its documents."""
    services.ingest.delete_collection(caller.collection(collection_id, "manage").id)
    return {"deleted": True}


# --------------------------------------------------------------------------------------------------------- documents


@router.get("/collections/{collection_id}/documents")
def list_documents(
    collection_id: str,
    caller: Caller,
    services: AppServices,
    containing: Annotated[str, Query(max_length=200)] = "",
    status: DocumentStatus | None = None,
    media_type: Annotated[str, Query(max_length=200)] = "",
    order: DocumentOrder = "changed",
    descending: bool = True,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
) -> dict[str, Any]:
    """Documents of a collection; `containing` is looked for in titles and names, and as words in their passages."""
    found = caller.collection(collection_id)
    words = containing.strip()
    wanted = DocumentFilter(found.id, words, _with_words(services, words, found.id), status, media_type)
    page = document_list.list_documents(caller.catalog.database, wanted, limit, offset, order, descending=descending)
    return {"documents": list(map(_document, page.documents)), "total": page.total, "types": page.types}


def _with_words(services: Services, words: str, collection_id: str) -> set[str]:
    """The ids of documents of which a passage has all of the words; of many passages the best are looked at."""
    wanted = set(terms(words))
    if not wanted:
        return set()
    scope = Scope((collection_id,))
    ids = [chunk_id for chunk_id, _ in services.index.search_lexical(words, scope, _PASSAGES_WITH_WORDS)]
    chunks = (stored.chunk for stored in services.index.live_chunks(ids, scope).values())
    return {chunk.document_id for chunk in chunks if wanted <= set(terms(f"{chunk.heading} {chunk.text}"))}


@router.post("/collections/{collection_id}/files", dependencies=[UPLOAD])
def upload(
    collection: Writable, services: AppServices, caller: Caller, file: Annotated[UploadFile, File()]
) -> dict[str, Any]:
    """Take in a file; the answer is the job that does it."""
    name = file.filename or "unnamed"
    if not file.size:
        raise InvalidRequest(f"{name} is empty.", param="file")
    if PurePath(name).suffix.lower() not in services.ingest.suffixes:
        raise UnsupportedFileType(f"Files such as {name} cannot be read.")
    with tempfile.NamedTemporaryFile(dir=services.settings.storage.dir) as copy:
        shutil.copyfileobj(file.file, copy)
        copy.flush()
        return _job(services.ingest.submit(Path(copy.name), name, collection.id, caller.owned))


@router.get("/collections/{collection_id}/jobs")
def list_jobs(collection: Writable, services: AppServices) -> list[dict[str, Any]]:
    """The uploads into a collection that are on their way in, and the last ones that were; newest first."""
    return [_job(job) for job in services.ingest.jobs() if job.collection == collection.name]


@router.delete("/collections/{collection_id}/jobs/{job_id}")
def cancel(job_id: str, collection: Writable, services: AppServices) -> dict[str, Any]:
    """Stop an upload."""
    if job_id not in {job.id for job in services.ingest.jobs() if job.collection == collection.name}:
        raise NotFound(f"There is no upload {job_id!r} here.")
    return _job(services.ingest.cancel(job_id))


@router.delete("/documents/{document_id}")
def delete_document(document_id: str, services: AppServices, caller: Caller) -> dict[str, Any]:
    """Delete a document."""
    return {"freed": services.ingest.delete(caller.document(document_id, "write").id).freed}


@router.post("/documents/{document_id}/again")
def read_again(document_id: str, services: AppServices, caller: Caller) -> dict[str, Any]:
    """Read a file of a folder again, as it is now. Raises InvalidRequest for an upload, which never changes, Conflict
    where a link leads elsewhere."""
    document = caller.document(document_id, "write")
    if document.file_id is not None:
        raise InvalidRequest("An uploaded file does not change.", hint="Upload it again.")
    require_in_place(document)
    steps = services.ingest.add_paths([document.content], document.collection, IngestOptions(retry_failed=True))
    reports = [progress.report for progress in steps if progress.report]
    if not reports:
        raise NotFound(
            f"There is no file at {document.content} any more.", hint="Put the file back, or remove the document."
        )
    return {"outcome": reports[-1].outcome, "error": reports[-1].error, "hint": reports[-1].hint}


# -------------------------------------------------------------------------------------------------------------- users


@router.get("/users")
def list_users(caller: Admin) -> list[dict[str, Any]]:
    """The users, for admins."""
    documents = count_by_owner(caller.catalog.database)
    return [{**_user(user), "documents": documents.get(user.id, 0)} for user in _users(caller).all()]


@router.post("/users")
def add_user(body: NewUser, caller: Admin) -> dict[str, Any]:
    """Add a user."""
    return _user(_users(caller).add(body.name.strip(), body.password, is_admin=body.is_admin))


@router.patch("/users/{name}")
def change_user(name: str, body: ChangedUser, caller: Admin) -> dict[str, Any]:
    """Change a user's password, which ends their sessions (not that of who does it), or make an admin of them."""
    if body.password is not None:
        _users(caller).set_password(name, body.password, kept_session=calling_session())
    if body.is_admin is not None:
        _require_another(caller, name)
        _users(caller).set_admin(name, is_admin=body.is_admin)
    return _user(_users(caller).get(name))


@router.delete("/users/{name}")
def delete_user(name: str, caller: Admin) -> dict[str, bool]:
    """Delete a user; what they own goes to the admin who does it."""
    _require_another(caller, name)
    _users(caller).delete(name, caller.principal.name)
    return {"deleted": True}


def _users(caller: Access) -> Users:
    return Users(caller.catalog.database)


def _require_another(caller: Access, name: str) -> None:
    if name == caller.principal.name:
        raise InvalidRequest("That would lock you out.", hint="Let another admin do it.")


def _collection(caller: Access, collection: Collection) -> dict[str, Any]:
    manages = may(caller.principal, "manage", collection)
    return {
        "id": collection.id,
        "title": collection.title or collection.id,
        "documents": count_documents(caller.catalog.database, collection.id),
        "owner": "" if collection.owner_id == caller.principal.id else _owner(caller, collection),
        "may_write": caller.unwritable is None and may(caller.principal, "write", collection),
        "may_manage": manages,
        "is_default": collection.name == DEFAULT_COLLECTION,
        "public": collection.is_public,
        "readers": _users(caller).names(collection.readers) if manages else [],
    }


def _owner(caller: Access, collection: Collection) -> str:
    if collection.owner_id == LOCAL_PRINCIPAL:
        return LOCAL_NAME
    return "".join(_users(caller).names({collection.owner_id}))


def _document(document: Document) -> dict[str, Any]:
    return {
        "id": document.id,
        "title": document.title,
        "file": PurePath(document.source).name,
        "source": document.source,
        "is_upload": document.file_id is not None,
        "pages": document.pages,
        "passages": document.chunks,
        "size": document.size,
        "media_type": document.media_type,
        "attributes": dict(document.attributes),
        "added": document.created_at,
        "status": document.status,
        "error": " ".join(filter(None, [document.error, document.hint])),
        "changed": document.updated_at,
    }


def _job(job: Job) -> dict[str, Any]:
    report = job.report
    return {
        "id": job.id,
        "name": job.name,
        "state": job.state,
        "passages": job.chunks,
        "outcome": report.outcome if report else "",
        "error": " ".join(filter(None, [report.error, report.hint])) if report else "",
        "notice": report.notice if report else "",
    }


def _user(user: User) -> dict[str, Any]:
    return {"name": user.name, "is_admin": user.is_admin, "has_password": user.has_password}
