"""Asks model servers what they are: which models they list, how many tokens they read, and whether they answer at all.

Every OpenAI-compatible server lists its models at `GET {base_url}/models`. Anything else that happens to listen on a
usual port (a web page, a service with an API of its own) is told apart here and is never taken for a model.
"""

from __future__ import annotations

import ipaddress
import json
import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from rag.errors import ConfigurationError
from rag.settings import LOOPBACK

if TYPE_CHECKING:
    from rag.settings import Settings


DEFAULT_CONTEXT_WINDOW = 4096  # what Ollama and LM Studio give when nobody asks for more; they do not tell
USUAL_PORTS = (("vLLM", 8000), ("llama-server", 8080), ("Ollama", 11434), ("LM Studio", 1234))
PROBE_TIMEOUT = 0.5  # seconds, for a server on this machine
LARGEST_ANSWER = 1 << 20  # bytes
LOADING = "it is still loading its model"
NO_LIST = "it is not an OpenAI-compatible server (HTTP 404), or one that lists no models"

Tokenizer = Literal["", "vLLM", "llama-server", "llama-cpp-python"]  # whose way of counting tokens; "" for none

_SIZE = re.compile(r"(?<![\w.])(\d{1,4}(?:\.\d{1,3})?)([bBmM])(?![^\W_])")  # as in llama3.2:1b, SmolLM2-135M-Instruct
_NOT_FOR_CHAT = re.compile(r"embed|minilm|rerank|whisper|(^|[/_-])(bge|gte|e5)([_-]|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ServerProbe:
    """What a model server said about itself. `models` are those one can chat with; `context_window` is in tokens, 0 if
    the server does not tell; `tokenizer` says whose way of counting tokens it should know; `problem` is empty when it
    can be used."""

    name: str
    base_url: str
    reachable: bool = False
    models: tuple[str, ...] = ()
    context_window: int = 0
    tokenizer: Tokenizer = ""
    problem: str = ""


def probe_model_servers(settings: Settings, ports: Sequence[tuple[str, int]] = USUAL_PORTS) -> list[ServerProbe]:
    """The configured server, or else those on the usual local ports, asked at the same time; blocking, about a second.

    The port that Footnote itself serves is left out.
    """
    if settings.llm.base_url:
        key = settings.llm.key().get_secret_value()
        return [
            probe_server(settings.llm.base_url, name="configured", model=settings.llm.model, api_key=key, timeout=2)
        ]

    def probe(server: tuple[str, int]) -> ServerProbe:
        name, port = server
        # No API key: whatever listens here was not chosen by the user.
        return probe_server(f"http://127.0.0.1:{port}/v1", name=name, model=settings.llm.model, timeout=PROBE_TIMEOUT)

    servers = [server for server in ports if server[1] != settings.server.port]
    with ThreadPoolExecutor(len(servers)) as pool:
        return list(pool.map(probe, servers))


def probe_server(
    base_url: str, *, name: str = "", model: str = "", api_key: str = "", timeout: float = 2
) -> ServerProbe:
    """What the server at `base_url` says; with `/v1` added where only that answers. Blocking; never raises for a
    server that misbehaves, only ConfigurationError for an address that is none. `timeout` is in seconds."""
    base_url = checked_base_url(base_url)
    first = _probe(ServerProbe(name, base_url), model, api_key, timeout)
    if first.problem and first.reachable and not urlsplit(base_url).path.rstrip("/").endswith("/v1"):
        second = _probe(ServerProbe(name, f"{base_url}/v1"), model, api_key, timeout)
        if second.models or not second.problem.startswith("it is not"):
            return second
    return first


def listed_name(model: str, names: Sequence[str]) -> str:
    """The one of `names`, as a server lists them, that it means by `model`; empty when there is none.

    Ollama lists `llama3.1:latest`, and takes `llama3.1` too.
    """
    return next((name for name in (model, f"{model}:latest") if name in names), "")


def parameters_named(model: str) -> int:
    """How many weights a model has by its name, such as `qwen2.5-1.5b-instruct`; 0 where it does not say."""
    match = _SIZE.search(model)
    return int(float(match[1]) * (1e9 if match[2] in "bB" else 1e6)) if match else 0


def checked_base_url(base_url: str, setting: str = "RAG_LLM__BASE_URL") -> str:
    """`base_url`, the value of that setting, without a slash at its end. Raises ConfigurationError when it is not an
    http address."""
    parts = urlsplit(base_url)
    try:
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:  # a port that is no number
        valid = False
    if not valid:
        raise ConfigurationError(
            f"{setting} is not an address: {shown_address(base_url)}",
            hint="Write it whole, e.g. http://127.0.0.1:11434/v1.",
        )
    return base_url.rstrip("/")


def shown_address(base_url: str) -> str:
    """`base_url` as it may be shown: without a user name, a password or a query."""
    return re.sub(r"//[^/@]*@", "//", base_url.split("?", 1)[0])


def trusts_environment(base_url: str) -> bool:
    """Whether proxies named in the environment may be used: never for a server on this machine."""
    host = urlsplit(base_url).hostname or ""
    try:
        return not (ipaddress.ip_address(host).is_loopback or ipaddress.ip_address(host).is_unspecified)
    except ValueError:
        return host != "localhost" and not host.endswith(".localhost")


def environment_proxy(base_url: str) -> str | None:
    """The HTTP proxy that the environment names for this server, if any."""
    if not trusts_environment(base_url) or proxy_bypass(urlsplit(base_url).hostname or ""):
        return None
    proxies = getproxies()
    return proxies.get(urlsplit(base_url).scheme) or proxies.get("all")


def _probe(probe: ServerProbe, model: str, api_key: str, timeout: float) -> ServerProbe:
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    with httpx.Client(headers=headers, timeout=timeout, trust_env=trusts_environment(probe.base_url)) as client:
        try:
            status, body = fetch(client, f"{probe.base_url}/models", deadline=time.monotonic() + 2 * timeout)
        except httpx.TimeoutException:
            return replace(probe, problem=f"it does not answer within {timeout:g} s")
        except (httpx.HTTPError, httpx.InvalidURL):
            return replace(probe, problem="nothing answers there")
        probe = replace(probe, reachable=True)
        if status != 200:
            return replace(probe, problem=_problem(status, api_key))
        entries = _entries(body)
        if entries is None:
            return replace(probe, problem="it is not an OpenAI-compatible server (no list of models)")
        models = tuple(entry["id"] for entry in entries if not _NOT_FOR_CHAT.search(entry["id"]))
        if not models:
            return replace(probe, problem="it lists no model to chat with")
        name = listed_name(model, [entry["id"] for entry in entries]) if model else models[0]
        chosen = next((entry for entry in entries if entry["id"] == name), {})
        window = _context_window(client, probe.base_url, chosen, timeout)
        return replace(probe, models=models, context_window=window, tokenizer=_tokenizer(chosen))


def _problem(status: int, api_key: str) -> str:
    if status in {401, 403}:
        return "it refuses the API key" if api_key else "it wants an API key"
    if status in {404, 503}:
        return NO_LIST if status == 404 else LOADING
    if 300 <= status < 400:
        return "it redirects to another address"
    return f"it is not an OpenAI-compatible server (HTTP {status})"


def fetch(
    client: httpx.Client, url: str, deadline: float, *, question: object = None, largest: int = LARGEST_ANSWER
) -> tuple[int, object]:
    """Status and parsed JSON (None where it is none, or longer than `largest` bytes) of the answer to a GET, or to a
    POST of `question`. `deadline` is in seconds of `time.monotonic`. Raises httpx.HTTPError."""
    content = bytearray()
    with client.stream("GET" if question is None else "POST", url, json=question) as response:
        for piece in response.iter_bytes():
            content += piece
            if len(content) > largest:
                return response.status_code, None
            if time.monotonic() > deadline:  # a server that sends a byte now and then
                raise httpx.ReadTimeout("answer too slow")
    try:
        return response.status_code, json.loads(content)
    except (ValueError, RecursionError):
        return response.status_code, None


def _entries(body: object) -> list[dict[str, Any]] | None:
    """The models that an answer lists; None when it is not such a list. Another Footnote is not a model."""
    data = body.get("data") if isinstance(body, Mapping) else None
    if not isinstance(data, Sequence) or isinstance(data, str):
        return None
    if not all(isinstance(entry, dict) and isinstance(entry.get("id"), str) for entry in data):
        return None
    return [entry for entry in data if entry["id"] and entry.get("owned_by") != "footnote"]


def _context_window(client: httpx.Client, base_url: str, entry: Mapping[str, Any], timeout: float) -> int:
    if window := _positive(entry.get("max_model_len")):  # vLLM
        return window
    meta = entry.get("meta")
    if not isinstance(meta, Mapping):
        return 0
    # llama-server: `n_ctx_train` is what the model could read; what it was started with stands in /props.
    try:
        _, props = fetch(client, f"{base_url.removesuffix('/v1')}/props", deadline=time.monotonic() + 2 * timeout)
    except httpx.HTTPError:
        props = None
    generation = props.get("default_generation_settings") if isinstance(props, Mapping) else None
    served = _positive(generation.get("n_ctx")) if isinstance(generation, Mapping) else 0
    return served or min(_positive(meta.get("n_ctx_train")), DEFAULT_CONTEXT_WINDOW)


def _tokenizer(entry: Mapping[str, Any]) -> Tokenizer:
    """How a server can be asked to count, by the way in which it lists its models."""
    if _positive(entry.get("max_model_len")):
        return "vLLM"
    if isinstance(entry.get("meta"), Mapping):
        return "llama-server"
    return "llama-cpp-python" if entry.get("owned_by") == "me" else ""


def _positive(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


_MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"))  # Docker's, Podman's


def is_in_container() -> bool:
    """Whether this process does."""
    return any(mark.exists() for mark in _MARKS)


def hint_for_containers(url: str) -> str:
    """What to do about a server at `url` that cannot be reached; empty where no container is the reason."""
    address = urlsplit(url)
    if not is_in_container():
        return ""
    if address.hostname in LOOPBACK:
        there = f"http://host.docker.internal:{address.port or 80}{address.path}"
        return (
            f"In a container {address.hostname} is the container itself: a server on the machine around it is at "
            f"{there}, and must listen not on 127.0.0.1 alone."
        )
    if address.hostname == "host.docker.internal":
        return (
            "The server must listen not on 127.0.0.1 alone (Ollama: OLLAMA_HOST=0.0.0.0), and a firewall let "
            "containers through; the service needs `extra_hosts: host.docker.internal:host-gateway`."
        )
    return ""
