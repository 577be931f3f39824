"""Whether the process lives (`/healthz`), and whether it can answer (`/readyz`)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from rag.errors import RagError
from rag.models.llm import check_model
from rag.operations.services import Services

router = APIRouter()
logger = logging.getLogger(__name__)

_PATIENCE = 3.0  # seconds for a part to show that it works; a model server gets two


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(request: Request) -> JSONResponse:
    """Catalog and index can be read and the model can be asked; 503 where not, and `parts` says which one cannot."""
    services: Services = request.app.state.services
    report: dict[str, object] = {"status": "ok", "model": services.model.name}

    async def look_into_catalog() -> None:
        census = await asyncio.to_thread(services.catalog.census)
        report["documents"] = sum(documents for documents, _ in census.values())

    index = asyncio.to_thread(services.storage.index.check)
    names = ("catalog", "index", "model")
    problems = await asyncio.gather(*map(_problem, names, (look_into_catalog(), index, check_model(services.model))))
    parts = {name: problem or "ok" for name, problem in zip(names, problems, strict=True)}
    if services.stopping.has_begun:
        parts["server"] = "It is being shut down."
    told = [words for words in parts.values() if words != "ok"]
    if told:
        report["status"] = told[0]
    if services.settings.is_closed:  # to strangers: whether, and not why
        return JSONResponse({"status": "not ready" if told else "ok"}, 503 if told else 200)
    return JSONResponse({**report, "parts": parts}, 503 if told else 200)


async def _problem(name: str, checking: Awaitable[object]) -> str:
    """What is wrong with a part, in words for whoever looks from outside; empty where nothing is."""
    try:
        await asyncio.wait_for(checking, _PATIENCE)
    except RagError as error:
        return f"{error.message} {error.hint}".strip()
    except TimeoutError:
        return f"It does not answer within {_PATIENCE:.0f} seconds."
    except Exception:
        logger.exception("The %s cannot be used.", name)
        return "It cannot be read; the log has the details."
    return ""
