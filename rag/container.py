"""Whether Footnote runs in a container, where 127.0.0.1 is nobody but itself."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from rag.settings import LOOPBACK

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
