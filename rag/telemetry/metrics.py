"""The figures of one application in Prometheus' text format: counts and times, and no word of any document.

Labels come from short lists of ours: route templates, status codes, modes, names of models, codes of errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, Info, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from rag.telemetry.spans import Answered, Recording
from rag.types.ingest import IngestCounts

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CHAT"})
# Seconds. Stages of a search take milliseconds, answers of a slow model minutes.
_SHORT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)
_LONG = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


@dataclass(frozen=True, slots=True)
class Inventory:
    """What there is at the moment: documents by status, their chunks, jobs by state; and what was taken in."""

    documents: Mapping[str, int]
    chunks: int
    jobs: Mapping[str, int]
    ingest: IngestCounts


class Metrics:
    """The figures of one application, in a registry of its own."""

    def __init__(self) -> None:
        registry = CollectorRegistry()

        def counter(name: str, words: str, *labels: str) -> Counter:
            return Counter(f"footnote_{name}", words, labels, registry=registry)

        def histogram(name: str, words: str, *labels: str, buckets: tuple[float, ...] = _LONG) -> Histogram:
            return Histogram(f"footnote_{name}_seconds", words, labels, registry=registry, buckets=buckets)

        self._requests = counter("requests", "Requests that are over.", "method", "route", "status")
        self._request_seconds = histogram("request", "From a request to the end of its answer.", "method", "route")
        self._answers = counter("answers", "Answers that are over.", "mode", "model", "outcome")
        self._answer_seconds = histogram("answer", "From a question to the end of its answer.", "mode", "model")
        self._first_word = histogram("first_token", "From a question to its answer's first word.", "mode", "model")
        self._tokens = counter("tokens", "Tokens that models read and wrote.", "model", "kind")
        self._stages = histogram("stage", "The steps on the way to an answer.", "stage", buckets=_SHORT)
        self._errors = counter("errors", "Errors that were told to whoever asked.", "kind")
        Info("footnote", "Which program this is.", registry=registry).info({"version": metadata.version("footnote")})
        ProcessCollector(registry=registry)
        self._registry = registry

    def observe(self, finished: Recording) -> None:
        """Count a request that is over."""
        method = finished.method if finished.method in _METHODS else "other"
        self._requests.labels(method, finished.route, str(finished.status)).inc()
        self._request_seconds.labels(method, finished.route).observe(finished.seconds)
        for stage in finished.stages:
            self._stages.labels(stage.name).observe(stage.seconds)
        for kind in finished.errors:
            self._errors.labels(kind).inc()
        for answered in finished.answers:
            self._observe_answer(answered)

    def _observe_answer(self, answered: Answered) -> None:
        mode, model = answered.mode, answered.model
        self._answers.labels(mode, model, answered.outcome).inc()
        self._answer_seconds.labels(mode, model).observe(answered.seconds)
        if answered.first_word is not None:
            self._first_word.labels(mode, model).observe(answered.first_word)
        for name, usage in answered.usages:
            self._tokens.labels(name, "prompt").inc(usage.prompt_tokens)
            self._tokens.labels(name, "completion").inc(usage.completion_tokens)

    def text(self, inventory: Inventory) -> bytes:
        """All figures as they stand, in Prometheus' text format."""
        counted = CollectorRegistry()
        counted.register(_Counted(inventory))
        return generate_latest(self._registry) + generate_latest(counted)


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Where what was measured goes: into the figures, and to `others` (the log, traces), which get every request that
    is over: on the event loop, so they must not block."""

    metrics: Metrics = field(default_factory=Metrics)
    others: tuple[Callable[[Recording], None], ...] = ()

    def finish(self, finished: Recording) -> None:
        """A request is over."""
        self.metrics.observe(finished)
        for tell in self.others:
            tell(finished)


class _Counted:
    """A collector of what is counted elsewhere."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory

    def collect(self) -> Iterable[Metric]:
        """The figures of the inventory."""
        now = self._inventory
        yield _family(GaugeMetricFamily, "documents", "Documents by status.", "status", now.documents)
        yield GaugeMetricFamily("footnote_chunks", "Chunks that can be found.", now.chunks)
        yield _family(
            GaugeMetricFamily, "jobs", "Uploads by state; of those that are over the last.", "state", now.jobs
        )
        files, failures = now.ingest.files, now.ingest.failures
        yield _family(CounterMetricFamily, "ingest_files", "Files by what became of them.", "outcome", files)
        yield _family(CounterMetricFamily, "ingest_failures", "Files that were not read, by reason.", "kind", failures)
        yield CounterMetricFamily("footnote_ingest_pages", "Pages of files taken in.", now.ingest.pages)
        yield CounterMetricFamily("footnote_ingest_chunks", "Chunks of files taken in.", now.ingest.chunks)


def _family(
    kind: type[GaugeMetricFamily] | type[CounterMetricFamily],
    name: str,
    words: str,
    label: str,
    values: Mapping[str, int],
) -> Any:
    family = kind(f"footnote_{name}", words, labels=[label])
    for value, count in values.items():
        family.add_metric([value], count)
    return family
