"""`GET /metrics`: the figures of this application in Prometheus' text format."""

from __future__ import annotations

from fastapi import APIRouter, Response

from rag.api.dependencies import AppServices, Caller
from rag.telemetry.metrics import CONTENT_TYPE

router = APIRouter(include_in_schema=False)


@router.get("/metrics")
def metrics(services: AppServices, caller: Caller) -> Response:
    """All figures as they stand; they are of everybody's requests, so they are for admins."""
    caller.require_admin()
    return Response(services.telemetry.metrics.text(services.inventory()), media_type=CONTENT_TYPE)
