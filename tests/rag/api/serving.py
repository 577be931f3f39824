"""The real API on a free port of this machine, over documents that were really ingested."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import APIRouter

from ingest.ingestor import Ingestor
from rag.api.app import create_api
from rag.operations.services import Services
from rag.settings import Settings
from tests.ingest.loaders.documents import make_pdf
from tests.rag.models.model_server import free_port

SECRET = "secret-of-the-command-line"


@dataclass(frozen=True)
class Served:
    url: str
    services: Services

    def document_id(self, name: str) -> str:
        return next(d.id for d in self.services.catalog.documents() if Path(d.source).name == name)


def write_documents(folder: Path) -> Path:
    """A PDF of three pages, a page of HTML that would run a script, and a note."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [["Cover of the manual."], ["The pump needs oil every 90 days."], ["The crate is kept dry."]]
    make_pdf(folder / "manual.pdf", lines, title="Pump manual")
    (folder / "page.html").write_text("<h1>Travel</h1><p>Hotels cost 185 EUR.</p><script>alert(1)</script>")
    (folder / "note with ä and 🦊.md").write_text("# Note\n\nThe fox is orange.\n", encoding="utf-8")
    return folder


@contextmanager
def serving(settings: Settings, paths: Sequence[Path], *routers: APIRouter) -> Iterator[Served]:
    with Services(settings, Ingestor) as services:
        services.open_all()
        reports = [progress.report for progress in services.ingest.add_paths(paths, "default") if progress.report]
        assert all(report.outcome == "added" for report in reports), reports
        app = create_api(services, SECRET)
        for router in routers:
            app.include_router(router)
        config = uvicorn.Config(app, port=free_port(), log_level="critical", ws="websockets-sansio")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            while not server.started:
                threading.Event().wait(0.01)
            yield Served(f"http://127.0.0.1:{config.port}", services)
        finally:
            server.should_exit = server.force_exit = True
            thread.join()
