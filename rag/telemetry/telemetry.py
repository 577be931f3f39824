"""Where what was measured goes: into the figures, the log, and traces where they are wanted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from rag.telemetry.metrics import Metrics
from rag.telemetry.spans import Finished


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What one application tells of itself. `others` are told of every request that is over: on the event loop, so
    they must not block."""

    metrics: Metrics = field(default_factory=Metrics)
    others: tuple[Callable[[Finished], None], ...] = ()

    def finish(self, finished: Finished) -> None:
        """A request is over."""
        self.metrics.observe(finished)
        for tell in self.others:
            tell(finished)
