"""Traces for OpenTelemetry: a span a request, and one below it for each stage; nothing is sent unless told where to.

The spans are made when the request is over, from what was measured; a thread of the exporter's own sends them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata

from rag.settings import TelemetrySettings
from rag.telemetry.spans import Recording

_PATIENCE = 3.0  # seconds for a collector to take spans, all attempts together; so long the program's end may take


@contextmanager
def open_traces(settings: TelemetrySettings) -> Iterator[tuple[Callable[[Recording], None], ...]]:
    """What is to be told of requests that are over: nobody, unless the settings name a collector."""
    if not settings.otlp_endpoint:
        yield ()
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    exporter = OTLPSpanExporter(f"{settings.otlp_endpoint.rstrip('/')}/v1/traces", timeout=_PATIENCE)
    about = {"service.name": "footnote", "service.version": metadata.version("footnote")}
    provider = TracerProvider(resource=Resource(about), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("footnote")

    def tell(finished: Recording) -> None:
        above = TraceContextTextMapPropagator().extract({"traceparent": finished.trace_parent})
        span = tracer.start_span(
            f"{finished.method} {finished.route}",
            context=above,
            kind=SpanKind.SERVER,
            attributes=_attributes(finished),
            start_time=_nanoseconds(finished.began),
        )
        if finished.status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        for stage in finished.stages:
            child = tracer.start_span(
                stage.name, context=set_span_in_context(span), start_time=_nanoseconds(stage.began)
            )
            child.end(_nanoseconds(stage.began + stage.seconds))
        span.end(_nanoseconds(finished.began + finished.seconds))

    try:
        yield (tell,)
    finally:
        provider.shutdown()  # sends what is left


def _attributes(finished: Recording) -> dict[str, str | int | float]:
    attributes: dict[str, str | int | float] = {
        "http.request.method": finished.method,
        "http.route": finished.route,
        "http.response.status_code": finished.status,
        "footnote.request_id": finished.request_id,
    }
    if finished.principal:
        attributes["user.id"] = finished.principal
    if finished.errors:
        attributes["error.type"] = finished.errors[-1]
    for answered in finished.answers[-1:]:
        attributes |= {
            "footnote.mode": answered.mode,
            "footnote.outcome": answered.outcome,
            "gen_ai.response.model": answered.model,
            "gen_ai.usage.input_tokens": sum(usage.prompt_tokens for _, usage in answered.usages),
            "gen_ai.usage.output_tokens": sum(usage.completion_tokens for _, usage in answered.usages),
        }
        if answered.first_word is not None:
            attributes["footnote.first_token_seconds"] = answered.first_word
    return attributes


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1_000_000_000)
