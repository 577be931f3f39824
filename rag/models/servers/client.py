"""Asks a server of embeddings or rankings: JSON there and back, asked again where it was busy or away, within a bound.

Methods block and may be called from any thread; what a server says is logged, its key never.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import httpx

from rag.errors import BackendError, BackendRejected, BackendUnavailable, ConfigurationError
from rag.models.openai.discovery import checked_base_url, hint_for_containers, shown_address, trusts_environment
from rag.models.openai.retries import seconds_asked_for

logger = logging.getLogger(__name__)

_BUSY = {408, 409, 425, 429, 500, 502, 503, 504, 529}  # HTTP
_ABOUT_THE_REQUEST = {400, 413, 422, 424}
_CONNECT_TIMEOUT = 5  # seconds
_LONGEST_PAUSE = 60  # seconds that a server may ask to wait
_SHOWN = 300  # characters of a server's words in the log
_MOST_CONNECTIONS = 64  # connections
_TOO_LONG = re.compile(
    r"(?:context|input|sequence|prompt)[ _](?:length|window|size)|too (?:long|large|many tokens)"
    r"|less than \d+ tokens|maximum.{0,40}tokens|exceeds? .{0,60}(?:tokens|context)",
    re.IGNORECASE,
)
_FOR_GOOD = "insufficient_quota"  # 429, and no waiting helps


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for one reply, and how long to pause before each further attempt, in seconds."""

    reply: float
    pauses: Sequence[float]


FOR_PASSAGES = Patience(120, (0.5, 1, 2, 4, 8, 16))
FOR_QUESTIONS = Patience(30, (0.25, 0.5, 1))
AT_START = Patience(30, (0.25, 0.5, 1, 2))  # a model may have to be loaded
FOR_FACTS = Patience(2, ())


class Refusal(Exception):
    """The server did not take the request as it was; `str(refusal)` has its words."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status

    @property
    def is_too_long(self) -> bool:
        """Whether a text is longer than its model reads."""
        return bool(_TOO_LONG.search(str(self)))


class ModelServer:
    """One server. `kind` is what it is called in words, such as `embedding server`; `group` is that of its settings,
    such as `RAG_EMBEDDING`. Close it when done. Raises ConfigurationError for an address that is none."""

    def __init__(self, kind: str, group: str, base_url: str, key: str) -> None:
        if not base_url:
            raise ConfigurationError(
                f"The {kind} has no address.", hint=f"Set {group}__BASE_URL, e.g. to http://127.0.0.1:8080/v1."
            )
        self.base_url = checked_base_url(base_url, f"{group}__BASE_URL")
        self.kind = kind
        self._group = group
        self._key = key
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        if key and (urlsplit(base_url).hostname or "").endswith(".azure.com"):
            headers["api-key"] = key
        self._client = httpx.Client(
            headers=headers,
            trust_env=trusts_environment(base_url),
            limits=httpx.Limits(max_connections=_MOST_CONNECTIONS),
            follow_redirects=False,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @property
    def name(self) -> str:
        """The server in words, with its address as it may be shown."""
        return f"The {self.kind} at {shown_address(self.base_url)}"

    def url(self, path: str, *, from_root: bool = False) -> str:
        """The address of `path`, a query of the base address kept. `from_root`: not below `/v1`, but beside it."""
        parts = urlsplit(self.base_url)
        before = parts.path.rstrip("/")
        return urlunsplit(parts._replace(path=f"{before.removesuffix('/v1') if from_root else before}/{path}"))

    def with_version(self) -> bool:
        """Go on below `/v1`, which the address lacked; False where it has it already."""
        parts = urlsplit(self.base_url)
        if re.search(r"/v\d+$", parts.path) or "/deployments/" in parts.path:
            return False
        self.base_url = urlunsplit(parts._replace(path=f"{parts.path}/v1"))
        return True

    def post(self, url: str, body: object, patience: Patience) -> Any:
        """The parsed JSON of the reply.

        Raises Refusal where another request might be taken, BackendUnavailable for a server that cannot be reached or
        stays busy, BackendRejected where it wants another key or has no such model, BackendError for nonsense."""
        pauses = list(patience.pauses)
        timeout = httpx.Timeout(patience.reply, connect=_CONNECT_TIMEOUT)
        is_late = False
        while True:
            asked_pause = 0.0
            try:
                response = self._client.post(url, json=body, timeout=timeout)
            except httpx.ReadTimeout as error:
                if is_late or not pauses:
                    raise self._unreachable(f"does not answer within {patience.reply:g} s") from error
                is_late = True
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                if not pauses:
                    raise self._unreachable("does not answer") from error
            else:
                if response.is_success:
                    return self._json(response)
                refusal = self._refusal(response)
                asked_pause = seconds_asked_for(response.headers.get("retry-after", ""))
                is_final = _FOR_GOOD in str(refusal) or asked_pause > _LONGEST_PAUSE
                if response.status_code not in _BUSY or not pauses or is_final:
                    raise self._failure(refusal) from refusal
            time.sleep(max(pauses.pop(0), asked_pause))

    def fact(self, path: str, *, body: object = None, from_root: bool = True) -> Any:
        """What the server tells at `path`, asked with `body` if there is one; None where it tells nothing."""
        url = self.url(path, from_root=from_root)
        try:
            method = "GET" if body is None else "POST"
            response = self._client.request(method, url, json=body, timeout=FOR_FACTS.reply)
            return response.json() if response.is_success else None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError):
            return None

    def _json(self, response: httpx.Response) -> Any:
        try:
            return response.json()
        except (ValueError, RecursionError) as error:
            raise self.nonsense("its reply is no JSON") from error

    def nonsense(self, problem: str) -> BackendError:
        """For a reply that cannot be used."""
        return BackendError(f"{self.name} cannot be used: {problem}.", hint=f"Check {self._group}__BASE_URL.")

    def _refusal(self, response: httpx.Response) -> Refusal:
        """Raises it where the request itself is at fault, however often it were sent."""
        text = " ".join(response.text.split())
        for secret in {self._key, quote(self._key), quote(self._key, safe="")} - {""}:
            text = text.replace(secret, "…")
        refusal = Refusal(response.status_code, text)
        if response.status_code in _ABOUT_THE_REQUEST or (response.status_code == 500 and refusal.is_too_long):
            raise refusal
        logger.warning("%s says: %s (HTTP %d)", self.name, text[:_SHOWN], response.status_code)
        return refusal

    def _failure(self, refusal: Refusal) -> BackendError:
        status = refusal.status
        if status in {401, 403}:
            hint = f"Set {self._group}__API_KEY to a key that the server takes."
            return BackendRejected(f"{self.name} refuses the key (HTTP {status}).", hint=hint)
        if status == 404 or 300 <= status < 400:
            hint = f"Check {self._group}__BASE_URL and {self._group}__MODEL.{self._models()}"
            return BackendRejected(f"{self.name} has no such model or address (HTTP {status}).", hint=hint)
        if status in _BUSY:
            hint = "It is busy, still loading its model, or out of quota: see its log, or try again later."
            return BackendUnavailable(f"{self.name} cannot answer now (HTTP {status}).", hint=hint)
        return BackendRejected(f"{self.name} refused the request (HTTP {status}).", hint="The log has its words.")

    def refused(self, refusal: Refusal) -> BackendRejected:
        """For a refusal that nothing helps against."""
        logger.warning("%s says: %s (HTTP %d)", self.name, str(refusal)[:_SHOWN], refusal.status)
        return BackendRejected(
            f"{self.name} refused the request (HTTP {refusal.status}).",
            hint=f"The log has its words; check {self._group}__MODEL.",
        )

    def _unreachable(self, problem: str) -> BackendUnavailable:
        hint = f"Start it, or correct {self._group}__BASE_URL. {hint_for_containers(self.base_url)}"
        return BackendUnavailable(f"{self.name} {problem}.", hint=hint.strip())

    def _models(self) -> str:
        listed = self.fact("models", from_root=False)
        entries = listed.get("data") if isinstance(listed, dict) else None
        names = [entry.get("id") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
        return f" It lists {', '.join(map(str, names[:10]))}." if names else ""
