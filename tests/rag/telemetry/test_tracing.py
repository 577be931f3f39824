"""Traces go to the collector that the settings name, and nowhere else; they hold times and numbers."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from rag.settings import TelemetrySettings
from rag.telemetry.tracing import open_traces
from tests.rag.models.model_server import free_port
from tests.rag.telemetry.test_logging import FINISHED


@contextmanager
def collector():
    """A collector's address, and the spans that it got."""
    spans = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            assert self.path == "/v1/traces"
            if self.headers.get("content-encoding") == "gzip":
                raise AssertionError
            told = ExportTraceServiceRequest.FromString(body)
            spans.extend(
                span for resource in told.resource_spans for scope in resource.scope_spans for span in scope.spans
            )
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", spans
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_request_is_a_span_and_its_stages_are_its_children():
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with collector() as (url, spans):
        with open_traces(TelemetrySettings(otlp_endpoint=url + "/")) as traces:
            for tell in traces:
                tell(replace(FINISHED, trace_parent=parent))
        *stages, request = sorted(spans, key=lambda span: span.name == "POST /v1/chat/completions")
    assert request.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert request.parent_span_id.hex() == "b7ad6b7169203331"
    assert [span.name for span in stages] == ["dense", "dense"]
    assert {span.parent_span_id for span in stages} == {request.span_id}
    assert abs(request.end_time_unix_nano - request.start_time_unix_nano - 1_750_000_000) < 1_000
    assert stages[0].start_time_unix_nano == request.start_time_unix_nano
    told = {a.key: a.value.string_value or a.value.int_value or a.value.double_value for a in request.attributes}
    assert told["http.route"] == "/v1/chat/completions"
    assert told["http.response.status_code"] == 200
    assert told["gen_ai.usage.output_tokens"] == 7
    assert told["user.id"] == "prn_1"
    assert "secret" not in str(spans)


def test_without_a_collector_there_is_nobody_to_tell():
    with open_traces(TelemetrySettings()) as traces:
        assert traces == ()


@pytest.mark.slow
def test_a_collector_that_is_not_there_does_not_hold_up_the_end():
    began = time.monotonic()
    with open_traces(TelemetrySettings(otlp_endpoint=f"http://127.0.0.1:{free_port()}")) as traces:
        for tell in traces:
            tell(FINISHED)
    assert time.monotonic() - began < 30  # the exporter's own tries take a minute
