"""Reading and embedding on a Ray cluster: what one machine would need weeks for, many do; one process stores it.

The workers (worker.py) see neither catalog nor index. They are told what to read and what to embed by the process
that owns the storage folder, which decides beforehand what is needed at all and stores what comes back.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.loaders import LoadedDocument
from ingest.loaders.base import unreadable
from ingest.ray.pool import RayPool
from ingest.ray.worker import Worker
from ingest.splitting import ChunkLimit
from rag.errors import ConfigurationError, DocumentError
from rag.settings import Settings
from rag.types.models import Embedding

if TYPE_CHECKING:
    from rag.types.documents import Vector

_KNOCK_TIMEOUT = 10.0  # seconds
_FILES_A_WORKER = 2  # on their way at once: one that is worked on, one that is stored or waits
# Ray started here is for this process: nobody else on the network or the machine may send it work.
_ONLY_HERE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token"}


class RayCluster(AbstractContextManager["RayCluster"]):
    """A connection to a Ray cluster, with a worker for each of its processors. Where it has GPUs, embedding is left to
    workers that have one each. Its methods may be called from any thread; use it as a context manager."""

    def __init__(self, address: str, settings: Settings, embedding: Embedding, workers: int | None = None) -> None:
        """Connect to the cluster at `address` (`auto`, HOST:PORT, ray://HOST:PORT) or start one on this machine
        (`local`), with at most so many workers; blocking, seconds. Raises ConfigurationError."""
        self._fingerprint = embedding.fingerprint
        self._ray = _connect(address)
        resources = self._ray.cluster_resources()
        processors, gpus = (int(resources.get(kind, 0)) for kind in ("CPU", "GPU"))
        if processors < 1:
            self._ray.shutdown()
            raise ConfigurationError(
                f"The Ray cluster at {address} has no processors to give.",
                hint="Start Ray on the machines that are to work: docs/large-corpora.md tells how.",
            )
        actor = self._ray.remote(Worker)

        def starting(**needs: int) -> Callable[[], Any]:
            options = {"max_restarts": 0, "max_task_retries": 0, "scheduling_strategy": "SPREAD", **needs}
            return lambda: actor.options(**options).remote(settings.ingest, settings.embedding)

        self._readers = RayPool(starting(num_cpus=1, num_gpus=0), min(processors, workers or processors))
        uses_gpus = gpus > 0 and settings.embedding.device != "cpu"
        self._embedders = RayPool(starting(num_cpus=0, num_gpus=1), gpus) if uses_gpus else self._readers
        self._calls = ThreadPoolExecutor(self._embedders.count, "ray-embed")
        self._sending = threading.Lock()
        self.files_at_once = _FILES_A_WORKER * max(self._readers.count, self._embedders.count)

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers and leave the cluster; one that was started here ends, too."""
        for pool in {self._readers, self._embedders}:
            pool.close()
        self._calls.shutdown(cancel_futures=True)
        self._ray.shutdown()

    def load(
        self, path: Path, name: str, sha256: str, limit: ChunkLimit, is_unwanted: Callable[[], bool]
    ) -> LoadedDocument:
        """The file at `path`, known to the user as `name`, read and split by a worker; blocking.

        A worker that finds a file with that hash at that path reads it there; else the bytes are sent. Raises as
        Sandbox.load does, and as RayPool.ask.
        """

        def ask(content: Any) -> LoadedDocument | DocumentError | None:
            read = lambda worker: worker.read.remote(path, name, sha256, content, limit)  # noqa: E731
            answer: LoadedDocument | DocumentError | None = self._readers.ask(name, read, is_unwanted)
            return answer

        answer = ask(None) or ask(self._sent(path, name))
        if isinstance(answer, DocumentError):
            raise answer
        assert answer is not None
        return answer

    def _sent(self, path: Path, name: str) -> Any:
        """The file's bytes in Ray's object store; one file at a time, so that memory holds one."""
        with self._sending:
            try:
                return self._ray.put(path.read_bytes())
            except OSError as error:
                raise unreadable(
                    name, f"cannot be read: {error.strerror}.", "Check that the file is there and readable."
                ) from error

    def embed(self, name: str, batches: Sequence[Sequence[str]], is_unwanted: Callable[[], bool]) -> Iterator[Vector]:
        """The vectors of each batch of texts of the file `name`, in order, embedded side by side; blocking. Raises as
        RayPool.ask and Worker.embed."""

        def embedded(batch: Sequence[str]) -> Vector:
            # a copy: what Ray gives stays in its object store for as long as it is used
            request = lambda worker: worker.embed.remote(self._fingerprint, batch)  # noqa: E731
            vectors: Vector = self._embedders.ask(name, request, is_unwanted).copy()
            return vectors

        return self._calls.map(embedded, batches)


def _connect(address: str) -> Any:
    """The module ray, connected. Raises ConfigurationError."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nothing is sent to anybody
    os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"  # what comes too late is not to start another Ray
    if address == "local":
        for name, value in {**_ONLY_HERE, "RAY_AUTH_TOKEN": secrets.token_hex(32)}.items():
            os.environ.setdefault(name, value)
    try:
        import ray
        import ray._private.worker as ray_output
    except ImportError as error:
        raise ConfigurationError(
            "`--ray` needs Ray, and it is not installed.",
            hint="Install it: pip install 'footnote[ray]', or make setup EXTRAS=ray.",
        ) from error
    # It would tell of lost workers on standard output, among lines of JSON.
    ray_output._worker_logs_enabled = False  # noqa: SLF001
    quiet = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    started_here = {"include_dashboard": False} if address == "local" else {}
    try:
        _knock(address)
        ray.init(address=address, **quiet, **started_here)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConfigurationError(
            f"There is no Ray cluster to work with at {address}: {reason[:300].rstrip('.')}.",
            hint="`ray status` says whether one runs on this machine; docs/large-corpora.md tells how to start it.",
        ) from error
    return ray


def _knock(address: str) -> None:
    """Ray itself would try for minutes where nobody listens. Raises OSError."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), _KNOCK_TIMEOUT).close()
