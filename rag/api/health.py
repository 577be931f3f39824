"""Whether the process lives (`/healthz`), and whether it can answer (`/readyz`)."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from rag.backends.llms import check_model
from rag.errors import RagError
from rag.services import Services

router = APIRouter()


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(request: Request) -> JSONResponse:
    """The store can be read and the model can be asked; 503 with the reason where not."""
    services: Services = request.app.state.services
    report: dict[str, object] = {"model": services.model.name}
    problem = ""
    try:
        report["documents"] = len(await asyncio.to_thread(services.catalog.documents))
        await check_model(services.model)
    except RagError as error:
        problem = f"{error.message} {error.hint}".strip()
    return JSONResponse({"status": problem or "ok", **report}, 503 if problem else 200)
