"""The errors of Footnote: one tree, every message with a hint, mapped once per edge.

    RagError                       message + hint
    ├─ ConfigurationError          wrong or missing setting, missing extra       exit 2
    ├─ IndexMismatch               index built with other settings               exit 2   503
    ├─ StorageLocked               another process owns the storage folder       exit 2   503
    ├─ StorageUnwritable           disk full, read-only, or another user's       exit 1   507
    ├─ DatabaseUnavailable         the database server does not answer           exit 1   503
    ├─ DocumentError               .source names the document
    │   ├─ UnsupportedFileType                                                   per file 415
    │   ├─ UnreadableDocument      encrypted, corrupt, timed out, too large      per file 422
    │   ├─ EmptyDocument           no text                                       per file 422
    │   ├─ DocumentChanged         while it was read: the next run reads it anew  per file 409
    │   └─ WorkerLost              what read it went away, perhaps not its fault per file 503
    ├─ UnreadableArchive           damaged, or no archive of Footnote            exit 1   422
    ├─ Unauthorized                                                              exit 1   401
    ├─ NotFound                                                                  exit 1   404
    ├─ Forbidden                                                                 exit 1   403
    ├─ Conflict                                                                  exit 1   409
    ├─ RateLimited                                                               exit 1   429
    ├─ InvalidRequest              .param names the field                        exit 2   400
    ├─ ShuttingDown                the server ends before the answer does        exit 1   503
    └─ BackendError                the cause is chained                          exit 1
        ├─ BackendUnavailable      refused, timed out, still loading                      503
        │   ├─ AnswerInterrupted   the same, after a part of the answer was sent          503
        │   └─ BackendFailed       the server answered with an error of its own           502
        │       └─ UnreadableReply its reply was no JSON                                  502
        └─ BackendRejected         bad parameter, wrong API key                           400
            └─ PromptTooLong       longer than the model reads                            400

Code deep inside raises; only the edges (command line, API, chat UI) turn an error into words. They read `exit_code`
and `status`, so a new error needs no change there.

Some errors are about how Footnote was set up: their words name settings, addresses and models. They are for who runs
it: the command line, the log, the owner of an open server, admins. Everybody else is told no more than the `public`
sentence of their class: see `words_for_caller`.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import ClassVar

logger = logging.getLogger(__name__)
_runs_footnote: ContextVar[bool] = ContextVar("runs_footnote", default=False)


class RagError(Exception):
    """The root: `str(error)` is one sentence for the user, `error.hint` says what to do next (or is empty)."""

    exit_code: ClassVar[int] = 1
    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    public: ClassVar[str] = ""  # what is told instead to those who do not run Footnote; empty: the same

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def set_caller(*, runs_footnote: bool) -> None:
    """Say who is told what goes wrong from now on, in this task and those that it begins."""
    _runs_footnote.set(runs_footnote)


def caller_runs_footnote() -> bool:
    """Whether who has asked may read how Footnote is set up; not where nobody said so, as in a thread of its own."""
    return _runs_footnote.get()


def words_for_caller(error: RagError) -> tuple[str, str]:
    """Message and hint as who has asked may read them; what they are not told is logged."""
    return (error.message, error.hint) if caller_runs_footnote() else words_for_everybody(error)


def words_for_everybody(error: RagError) -> tuple[str, str]:
    """Message and hint as anybody may read them, such as what is kept; what they are not told is logged."""
    if not error.public:
        return error.message, error.hint
    logger.warning("%s %s", error.message, error.hint)
    return error.public, "Its log says more to who runs this server."


class ConfigurationError(RagError):
    """A setting is wrong or missing, or an optional dependency is not installed."""

    exit_code = 2
    code = "configuration_error"
    public = "The server is not set up for this."


class IndexMismatch(RagError):
    """The stored index was built with other settings than the present ones."""

    exit_code = 2
    status = 503
    code = "index_mismatch"
    public = "The documents cannot be searched at the moment."


class StorageLocked(RagError):
    """Another process owns the storage folder."""

    exit_code = 2
    status = 503
    code = "storage_locked"
    public = "The documents cannot be changed at the moment."


class StorageUnwritable(RagError):
    """The disk is full, the file system read-only, or the folder another user's; what is stored is there."""

    status = 507
    code = "storage_unwritable"
    public = "Nothing can be stored at the moment."

    def __init__(self, message: str, *, hint: str = "", cause: str = "") -> None:
        super().__init__(message, hint=hint)
        self.cause = cause


class TooManyOpenFiles(RagError):
    """The machine lets this process open no more files and connections."""

    status = 503
    code = "too_many_open_files"
    public = "The server cannot open more files at the moment."


class DatabaseUnavailable(RagError):
    """The database server cannot be reached, or has no room; it may be back in a moment."""

    status = 503
    code = "database_unavailable"
    public = "The documents cannot be reached at the moment."


class DocumentError(RagError):
    """One document could not be taken in; others are not concerned."""

    status = 422
    code = "document_error"

    def __init__(self, message: str, *, hint: str = "", source: str = "") -> None:
        super().__init__(message, hint=hint)
        self.source = source

    def __reduce__(self) -> tuple[object, ...]:  # crosses process borders with its hint and source
        return _rebuild_document_error, (type(self), self.message, self.hint, self.source)


def _rebuild_document_error(kind: type[DocumentError], message: str, hint: str, source: str) -> DocumentError:
    return kind(message, hint=hint, source=source)


class UnsupportedFileType(DocumentError):
    """No loader reads this kind of file."""

    status = 415
    code = "unsupported_file"


class UnreadableDocument(DocumentError):
    """Encrypted, corrupt, too large, or not read in time."""

    code = "unreadable_document"


class EmptyDocument(DocumentError):
    """The file could be read, but holds no text."""

    code = "empty_document"


class DocumentChanged(DocumentError):
    """The file was another one than was hashed when it had been read; what was read of it counts for nothing."""

    status = 409
    code = "document_changed"


class WorkerLost(DocumentError):
    """The processes that were to read the file went away one after the other; it may not have been the file's fault."""

    status = 503
    code = "worker_lost"


class UnreadableArchive(RagError):
    """An archive is damaged, of a newer form, or none at all; nothing of it was taken in."""

    status = 422
    code = "unreadable_archive"


class Unauthorized(RagError):
    """Nobody knows who asks: no key, or a wrong one."""

    status = 401
    code = "invalid_api_key"


class NotFound(RagError):
    """No such document, collection or model, or not for this principal."""

    status = 404
    code = "not_found"


class Forbidden(RagError):
    """The principal may not do this."""

    status = 403
    code = "forbidden"


class Conflict(RagError):
    """The present state does not allow it."""

    status = 409
    code = "conflict"


class RateLimited(RagError):
    """Too many requests; `retry_after` is in seconds."""

    status = 429
    code = "rate_limit_exceeded"

    def __init__(self, message: str, *, hint: str = "", retry_after: int = 1) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class InvalidRequest(RagError):
    """A request that can be read but not be served; `param` names the offending field."""

    exit_code = 2
    status = 400
    code = "invalid_request"

    def __init__(self, message: str, *, hint: str = "", param: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.param = param


class ShuttingDown(RagError):
    """The server is told to end, and does so before the answer is whole."""

    status = 503
    code = "shutting_down"


class BackendError(RagError):
    """A model server or a model in this process failed; the cause is chained."""

    status = 502
    code = "backend_error"
    public = "The language model, or the index, has failed."


class BackendUnavailable(BackendError):
    """Connection refused, timed out, or the model is still loading."""

    status = 503
    code = "backend_unavailable"
    public = "The language model, or the index, does not answer at the moment."


class AnswerInterrupted(BackendUnavailable):
    """The model failed when a part of its answer had been sent already: what is shown of it is incomplete."""

    code = "answer_interrupted"
    public = "The language model stopped in the middle of the answer."


class BackendFailed(BackendUnavailable):
    """The model server answered with an error of its own (HTTP 5xx)."""

    status = 502
    code = "backend_failed"
    public = "The language model has failed."


class UnreadableReply(BackendFailed):
    """The model server's reply was no JSON."""

    code = "unreadable_reply"
    public = "The model server's reply was no JSON."


class BackendRejected(BackendError):
    """The model server refused the request, e.g. because the prompt is too long."""

    status = 400
    code = "backend_rejected"
    public = "The language model did not take the request."


class FunctionsRefused(BackendRejected):
    """The model server takes no functions for this model."""


class BackendMisconfigured(BackendRejected):
    """The model server takes nothing at all as it is asked: the key is refused, or there is no such model."""


class PromptTooLong(BackendRejected):
    """The prompt has more tokens than the model reads. `limit` is how much that is, `counted` how much the prompt had,
    `excess` how much of it was too much, as the server counts it, and 0 where it does not say."""

    code = "context_length_exceeded"
    public = "The request is longer than the language model reads."

    def __init__(self, message: str, *, hint: str = "", limit: int = 0, counted: int = 0, excess: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.limit = limit
        self.counted = counted
        self.excess = excess


def public_sentences(kind: type[RagError] = RagError) -> frozenset[str]:
    """What is told of errors that are the server's own, and not of what was given to it."""
    return frozenset({kind.public} - {""}).union(*map(public_sentences, kind.__subclasses__()))
