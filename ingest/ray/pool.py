"""Workers of a Ray cluster, each busy with one thing at a time: what one leaves undone goes to another."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from ingest.loaders.base import quoted, unreadable
from ingest.ray.worker import reading_version
from rag.errors import BackendUnavailable, ConfigurationError, UnreadableDocument, WorkerLost

_ATTEMPTS = 3  # workers that one piece of work is given to
_FAILED_STARTS = 10  # one after the other
_LONGEST_WITHOUT = 120.0  # seconds to wait for a worker where there is none
_LOOK = 0.2  # seconds between two looks at whether anybody still waits
_INSTALL_HINT = "Footnote must be installed on every machine of the cluster: the same version, for the same Python."


class RayPool:
    """Up to `count` workers, which `start` starts one by one. `ask` may be called from any thread."""

    def __init__(self, start: Callable[[], Any], count: int) -> None:
        self.count = count
        self._start = start
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._mutex = threading.Lock()
        self._starting: dict[Any, Any] = {}  # the call for its version, which says that it is ready → worker
        self._ready: set[Any] = set()
        self._failed_starts = 0
        self._without_since = time.monotonic()
        self._closed = False
        for _ in range(count):
            self._add()

    def close(self) -> None:
        """End the workers, whatever they are doing."""
        with self._mutex:
            self._closed = True
            workers = [*self._starting.values(), *self._ready]
        for worker in workers:
            _end(worker)

    def ask(self, name: str, request: Callable[[Any], Any], is_unwanted: Callable[[], bool]) -> Any:
        """The answer to `request`, which is sent to a worker for the file `name`; blocking until one is free and has
        answered.

        Raises what the worker raises; WorkerLost when several were lost over it; UnreadableDocument when nobody wants
        the answer any more; ConfigurationError or BackendUnavailable when there are no workers.
        """
        import ray
        from ray.exceptions import RayError, RayTaskError

        for _ in range(_ATTEMPTS):
            worker = self._take(name, is_unwanted)
            try:
                answer = request(worker)
                _await(answer, name, is_unwanted)
                result = ray.get(answer)
            except RayTaskError as error:
                cause = getattr(error, "cause", None)
                if isinstance(cause, RayError) or cause is None:  # not the worker's word, but that of Ray
                    self._replace(worker)
                    continue
                self._idle.put(worker)
                raise cause from error
            except RayError:
                self._replace(worker)
                continue
            except BaseException:
                self._replace(worker)
                raise
            self._idle.put(worker)
            return result
        raise WorkerLost(
            f"{quoted(name)} was given to {_ATTEMPTS} workers, one after the other, and all of them were lost.",
            hint="Perhaps their memory does not suffice: let fewer run on a machine. The next run tries it again.",
            source=name,
        )

    def _take(self, name: str, is_unwanted: Callable[[], bool]) -> Any:
        while not (is_unwanted() or self._closed):
            self._greet()
            with contextlib.suppress(queue.Empty):
                return self._idle.get(timeout=_LOOK)
        raise _nobody_waits(name)

    def _greet(self) -> None:
        """Let those begin that have become ready. Raises ConfigurationError, BackendUnavailable when there are none."""
        import ray
        from ray.exceptions import RayError

        with self._mutex:
            starting = [*self._starting]
            ready = ray.wait(starting, num_returns=len(starting), timeout=0)[0] if starting else []
            for version_call in ready:
                worker = self._starting.pop(version_call)
                try:
                    version = ray.get(version_call)
                except RayError as error:
                    self._failed_starts += 1
                    if self._failed_starts < _FAILED_STARTS:
                        self._add()
                    elif not (self._ready or self._starting):  # else there are fewer workers from now on
                        reason = str(error).strip().splitlines()[-1]
                        raise ConfigurationError(f"No worker can be started: {reason}", hint=_INSTALL_HINT) from error
                    continue
                if version != reading_version():
                    raise ConfigurationError(
                        f"A worker would not read as this machine does: it has {version}; here, {reading_version()}.",
                        hint=_INSTALL_HINT,
                    )
                self._failed_starts = 0
                self._ready.add(worker)
                self._idle.put(worker)
            if not self._ready and time.monotonic() - self._without_since > _LONGEST_WITHOUT:
                raise BackendUnavailable(
                    f"The Ray cluster has had no worker to give for {_LONGEST_WITHOUT:.0f} seconds.",
                    hint="`ray status` shows whether it has free processors. What is done is not done twice.",
                )

    def _replace(self, worker: Any) -> None:
        _end(worker)
        with self._mutex:
            self._ready.discard(worker)
            if not self._ready:
                self._without_since = time.monotonic()
            self._add()

    def _add(self) -> None:
        if not self._closed:
            worker = self._start()
            self._starting[worker.version.remote()] = worker


def _await(answer: Any, name: str, is_unwanted: Callable[[], bool]) -> None:
    import ray

    while not ray.wait([answer], timeout=_LOOK)[0]:
        if is_unwanted():
            raise _nobody_waits(name)


def _end(worker: Any) -> None:
    import ray
    from ray.exceptions import RayError

    with contextlib.suppress(RayError, ConnectionError):  # the cluster is gone, and all workers with it
        ray.kill(worker)


def _nobody_waits(name: str) -> UnreadableDocument:
    return unreadable(name, "was not read, as nobody waits for it.", "")
