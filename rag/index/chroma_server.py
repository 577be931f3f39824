"""A Chroma server, reached by HTTP: what fails while it is away is asked again, and told in words.

All requests that Footnote sends it may be repeated without harm: they look, put what is there already, or delete it.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import httpx

from rag.errors import BackendError, BackendUnavailable, RagError
from rag.settings import StorageSettings

if TYPE_CHECKING:
    from chromadb.api import AdminAPI, ClientAPI

logger = logging.getLogger(__name__)

QUESTION_PATIENCE = (
    1.0  # seconds for which somebody who waits for an answer is made to wait for the server to come back
)
WRITE_PATIENCE = 30.0  # … and an ingest, or the start: longer than a container takes to be started again
_TIMEOUT = httpx.Timeout(30.0, connect=2.0)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
_VERSION = re.compile(r'"[0-9.]+"')  # the whole of the answer

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class ChromaServer:
    """Where the server is, and which of its databases is ours alone. An empty `token` sends none."""

    url: str
    database: str = "footnote"
    token: str = field(default="", repr=False)

    def connect(self) -> ClientAPI:
        """A client of our database, which is made if need be. Raises BackendUnavailable, BackendError."""
        return self.retry(self._connect, WRITE_PATIENCE)

    def disconnect(self, client: ClientAPI) -> None:
        """Close the connections of a client."""
        sessions = [_session(client), _session(client._admin_client)]  # type: ignore[attr-defined]  # noqa: SLF001
        client.close()  # type: ignore[attr-defined]
        for session in sessions:  # which chromadb leaves open
            session.close()

    def version(self) -> str:
        """What the server says it is, asked once. Raises BackendUnavailable, BackendError."""
        return self.retry(self._version, 0)

    def retry(self, request: Callable[[], _Answer], patience: float) -> _Answer:
        """What `request` gives; it is repeated for `patience` seconds while the server is away.

        Raises BackendUnavailable when it stays away, BackendError when it refuses."""
        from chromadb.errors import NotFoundError

        deadline, pause = time.monotonic() + patience, _FIRST_PAUSE
        while True:
            try:
                return request()
            except RagError:
                raise
            except NotFoundError as error:
                raise BackendError(
                    f"The Chroma server at {self.url} has lost vectors of this index.",
                    hint="Start Footnote again: what is missing is made anew.",
                ) from error
            except httpx.TransportError as error:
                if time.monotonic() + pause > deadline:
                    raise BackendUnavailable(
                        f"The Chroma server at {self.url} cannot be reached{_why(error)}.",
                        hint="Start it, or correct RAG_STORAGE__CHROMA_URL; `rag doctor` looks again.",
                    ) from error
                if pause == _FIRST_PAUSE and patience > QUESTION_PATIENCE:
                    logger.warning("The Chroma server at %s is away; asking it again for %d s.", self.url, patience)
            except Exception as error:
                logger.warning("The Chroma server at %s says: %s", self.url, " ".join(str(error).split())[:300])
                raise BackendError(
                    f"The Chroma server at {self.url} refuses.", hint="Its log tells more, and Footnote's."
                ) from error
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    @property
    def _api(self) -> str:
        return f"{self.url.rstrip('/')}/api/v2"

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def _version(self) -> str:
        answer = httpx.get(f"{self._api}/version", headers=self._headers, timeout=_TIMEOUT)
        if answer.status_code != httpx.codes.OK or not _VERSION.fullmatch(answer.text):
            raise BackendError(
                f"What answers at {self.url} is no Chroma server (HTTP {answer.status_code}).",
                hint="Correct RAG_STORAGE__CHROMA_URL, or RAG_STORAGE__CHROMA_TOKEN if it wants one.",
            )
        return answer.text.strip('"')

    def _connect(self) -> ClientAPI:
        import chromadb
        from chromadb.config import DEFAULT_TENANT
        from chromadb.config import Settings as ChromaSettings

        self._version()  # chromadb's client has no time limit until it is there
        made = httpx.post(
            f"{self._api}/tenants/{DEFAULT_TENANT}/databases",
            json={"name": self.database},
            headers=self._headers,
            timeout=_TIMEOUT,
        )
        if made.status_code != httpx.codes.CONFLICT:  # it is there
            made.raise_for_status()
        quiet = ChromaSettings(anonymized_telemetry=False)
        client = chromadb.HttpClient(self.url, headers=self._headers, settings=quiet, database=self.database)
        _session(client).timeout = _TIMEOUT
        return client


def chroma_server(settings: StorageSettings) -> ChromaServer | None:
    """The server that the settings name, None where they name none."""
    if not settings.chroma_url:
        return None
    return ChromaServer(settings.chroma_url, settings.chroma_database, settings.chroma_token.get_secret_value())


def _session(client: ClientAPI | AdminAPI) -> httpx.Client:
    return client._server._session  # type: ignore[union-attr,no-any-return]  # noqa: SLF001


def _why(error: httpx.TransportError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return ": no answer in time"
    return f": {error}" if str(error) else ""
