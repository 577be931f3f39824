"""Whether the process lives (`/healthz`), and whether it can answer (`/readyz`)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from rag.api.dependencies import AppServices
from rag.api.route_policy import PUBLIC
from rag.errors import RagError
from rag.models.llm import check_model

router = APIRouter(dependencies=[PUBLIC])
logger = logging.getLogger(__name__)

_TIMEOUT = 3.0  # seconds for a part to show that it works; a model server gets two


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(services: AppServices) -> JSONResponse:
    """Catalog and index can be read and the model can be asked; 503 where not, and `parts` says which one cannot."""
    report: dict[str, object] = {"model": services.model.name}

    async def count_documents() -> None:
        census = await asyncio.to_thread(services.catalog.census)
        report["documents"] = sum(documents for documents, _ in census.values())

    index = asyncio.to_thread(services.index.check)
    if services.index.impaired:
        report["incomplete"] = sorted(services.index.impaired)
    if services.unwritable is not None:
        report["unwritable"] = services.unwritable.cause
    names = ("catalog", "index", "model")
    problems = await asyncio.gather(*map(_problem, names, (count_documents(), index, check_model(services.model))))
    parts = {name: problem or "ok" for name, problem in zip(names, problems, strict=True)}
    if services.stopping.has_begun:
        parts["server"] = "It is being shut down."
    failures = [state for state in parts.values() if state != "ok"]
    if services.settings.is_closed:  # to strangers: whether, and not why
        report = {"status": "not ready" if failures else "ok"}
    else:
        report |= {"status": failures[0] if failures else "ok", "parts": parts}
    return JSONResponse(report, 503 if failures else 200)


async def _problem(name: str, checking: Awaitable[object]) -> str:
    """What is wrong with a part, for whoever looks from outside; empty where nothing is."""
    try:
        await asyncio.wait_for(checking, _TIMEOUT)
    except RagError as error:
        return f"{error.message} {error.hint}".strip()
    except TimeoutError:
        return f"It does not answer within {_TIMEOUT:.0f} seconds."
    except Exception:
        logger.exception("The %s cannot be used.", name)
        return "It cannot be read; the log has the details."
    return ""
