"""What `rag doctor` examines: Python, storage, Chroma, models and their servers, GPU, disk; one result a line."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from rag.errors import BackendUnavailable, RagError, StorageLocked
from rag.index.chroma_server import chroma_server
from rag.index.integrity import count_of_words, damage_of_vectors, damage_of_words
from rag.index.vector_copy import damage_of_copy
from rag.models.llm import probe_model_servers
from rag.models.models_file import ModelsFile
from rag.models.openai.discovery import hint_for_containers, is_in_container
from rag.operations.archive.exchange import finish_exchange, is_unfinished
from rag.settings import Settings
from rag.storage.blobs import StoredFiles, hash_of
from rag.storage.connect import has_catalog, open_catalog, open_postgres
from rag.storage.database import CATALOG_NAME
from rag.storage.files import FileRecords
from rag.storage.lock import StorageLock, read_owner
from rag.storage.private import is_open_to_others
from rag.storage.sqlite import check_catalog

if TYPE_CHECKING:
    from rag.models.registry import LanguageModels

_LOW_DISK_BYTES = 2_000_000_000


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One line of the report; `advice` says what to do about a problem."""

    ok: bool
    subject: str
    summary: str
    advice: str = ""


def examine(settings: Settings, *, deep: bool = False) -> Iterator[CheckResult]:
    """All results, one after the other; the slow ones (loading the embedding model) come late. `deep` reads all files
    of the storage folder, and looks for every vector: seconds to minutes."""
    yield _python()
    yield from _permissions(settings)
    database = list(_checked("Database", _database(settings)))
    yield from database
    if all(check.ok for check in database):  # else that is what is wrong, and would be said twice
        yield from _checked("Storage", _storage(settings, deep=deep))
    yield from _checked("Chroma", _chroma(settings))
    yield _disk(settings)
    yield _gpu()
    yield from _model_servers(settings)
    yield from _checked("Language model", _language_models(settings))
    yield from _checked("Embedding model", _embedding(settings))


def _checked(subject: str, results: Iterator[CheckResult]) -> Iterator[CheckResult]:
    """The results, and an error that ends them as the last one."""
    try:
        yield from results
    except RagError as error:
        yield CheckResult(False, subject, error.message, error.hint)


def _python() -> CheckResult:
    version = platform.python_version()
    missing = [name for name in ("chromadb", "tantivy", "chainlit", "torch") if find_spec(name) is None]
    if missing:
        return CheckResult(False, "Python", f"{', '.join(missing)} missing.", "Run `make setup`.")
    return CheckResult(True, "Python", version)


def _permissions(settings: Settings) -> Iterator[CheckResult]:
    folder = settings.storage.dir.absolute()
    if is_open_to_others(folder) and any(folder.iterdir()):
        yield CheckResult(
            False,
            "Permissions",
            f"other accounts of this machine could read {folder} until now.",
            f"Footnote shuts the folder itself whenever it opens it, if it owns it; `chmod -R go= {folder}` shuts all "
            "that is in it. If accounts were there that you do not trust, change passwords and API keys.",
        )


def _database(settings: Settings) -> Iterator[CheckResult]:
    database = open_postgres(settings.storage)
    if database is not None:
        with closing(database):
            [(version,)] = database.read("SHOW server_version")
        yield CheckResult(True, "Database", f"PostgreSQL {version} has the catalog.")


def _storage(settings: Settings, *, deep: bool) -> Iterator[CheckResult]:
    folder, is_shared = settings.storage.dir, settings.storage.is_shared
    lock = StorageLock(folder, shared=is_shared)
    try:
        lock.acquire()
    except StorageLocked as error:
        owner = read_owner(folder)
        if owner is not None and owner.url:
            summary = f"a server runs at {owner.address} and owns {folder}; commands work through it."
            yield CheckResult(True, "Lock", summary)
        else:
            yield CheckResult(True, "Lock", error.message, error.hint)
        return
    try:
        summary = "other processes may share the catalog." if is_shared else "no other process uses the storage folder."
        yield CheckResult(True, "Lock", summary)
        if is_unfinished(settings.storage):
            finish_exchange(settings.storage, is_late=True)
        catalog = _catalog(settings)
        yield catalog
        if catalog.ok and has_catalog(settings.storage):
            yield from _indexes(settings, deep=deep)
            if deep:
                yield _files(settings)
    finally:
        lock.release()


def _catalog(settings: Settings) -> CheckResult:
    path = settings.storage.dir / CATALOG_NAME
    if not has_catalog(settings.storage):
        if left := [part for part in ("vectors", "words", "files") if (settings.storage.dir / part).exists()]:
            return CheckResult(
                False,
                "Storage",
                f"{path} is gone, beside {', '.join(left)}, which are worth nothing without it.",
                "Bring it back from a copy of the file, or a backup (`rag restore`); else ingest the documents again.",
            )
        return CheckResult(True, "Storage", f"{settings.storage.dir} is empty.", "`ingest PATH` adds documents.")
    if path.exists():
        check_catalog(path)
    with closing(open_catalog(settings.storage)) as catalog:
        documents = catalog.documents()
    failed = sum(document.status == "failed" for document in documents)
    chunks = sum(document.chunks for document in documents)
    summary = f"{len(documents)} documents, {chunks} chunks in {settings.storage.dir}."
    advice = f"{failed} could not be read: `ingest ls` says why." if failed else ""
    return CheckResult(True, "Storage", summary, advice)


def _indexes(settings: Settings, *, deep: bool) -> Iterator[CheckResult]:
    """Whether vectors and words, where they are in the storage folder, are what was written."""
    folder, advice = settings.storage.dir, "`rag repair` makes them again, and so does the next start."
    with closing(open_catalog(settings.storage)) as catalog:
        chunks = sum(chunks for _, chunks in catalog.census().values())
    problems = {}
    if not settings.storage.chroma_url:
        is_gone = chunks and not (folder / "vectors" / "chroma.sqlite3").exists()
        problem = "they are gone" if is_gone else damage_of_vectors(folder / "vectors", deep=deep)
        problems["Vectors"] = problem or (damage_of_copy(folder / "vectors") if deep else "")
    if not settings.storage.is_shared:
        problems["Words"] = damage_of_words(folder / "words", deep=deep) or _count_of_words(folder / "words", chunks)
    for subject, problem in problems.items():
        summary = "as they were written." if deep else "as far as sizes and times tell, as they were written."
        yield CheckResult(not problem, subject, f"{problem}." if problem else summary, advice if problem else "")


def _count_of_words(folder: Path, chunks: int) -> str:
    try:
        count = count_of_words(folder)
    except (OSError, ValueError, LookupError):
        count = 0
    return "" if count == chunks else f"{count} chunks of {chunks} are there"


def _files(settings: Settings) -> CheckResult:
    """Whether the uploads are the bytes that they were."""
    stored = StoredFiles(settings.storage.dir)
    with closing(open_catalog(settings.storage)) as catalog:
        needed = sorted(FileRecords(catalog.database).needed())
    paths = {sha256: stored.path_of(sha256) for sha256 in needed}
    damaged = [path for sha256, path in paths.items() if not path.is_file() or hash_of(path) != sha256]
    if not damaged:
        return CheckResult(True, "Uploads", f"{len(needed)} files, as they were uploaded.")
    advice = "Upload them again, or restore a backup; what was read of them is searched all the same."
    return CheckResult(False, "Uploads", f"{len(damaged)} files are damaged or gone, such as {damaged[0]}.", advice)


def _chroma(settings: Settings) -> Iterator[CheckResult]:
    server = chroma_server(settings.storage)
    if server is None:
        return
    try:
        server.version()
    except BackendUnavailable as error:
        logs = " `docker compose logs chroma` may tell why it is not there." if is_in_container() else ""
        yield CheckResult(False, "Chroma", error.message, error.hint + logs)
    else:
        yield CheckResult(True, "Chroma", f"a server at {server.url}, database {server.database!r}.")


def _disk(settings: Settings) -> CheckResult:
    folder = settings.storage.dir.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    low = free < _LOW_DISK_BYTES
    return CheckResult(not low, "Disk", f"{free / 1e9:.1f} GB free.", "Make room: an ingest may fail." if low else "")


def _gpu() -> CheckResult:
    if shutil.which("nvidia-smi") is None:
        return CheckResult(True, "GPU", "no NVIDIA GPU; embedding works on the processor.")
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
    except (subprocess.SubprocessError, OSError) as error:
        return CheckResult(False, "GPU", f"nvidia-smi fails: {error}.", "Check the NVIDIA driver.")
    return CheckResult(True, "GPU", "; ".join(answer.stdout.strip().splitlines()) or "none listed.")


def _model_servers(settings: Settings) -> Iterator[CheckResult]:
    for probe in probe_model_servers(settings):
        if probe.models:
            window = f", context of {probe.context_window} tokens" if probe.context_window else ""
            yield CheckResult(True, f"{probe.name} at {probe.base_url}", f"{', '.join(probe.models[:5])}{window}.")
        else:
            yield CheckResult(True, f"{probe.name} at {probe.base_url}", probe.problem or "not running.")


def _language_models(settings: Settings) -> Iterator[CheckResult]:
    from rag.operations.services import Services

    with Services(settings) as services:
        models = services.models
        if models.file.model or models.file.persona:
            yield from _checked("Models file", _models_file(models.file))
        for name in models.described:
            yield _language_model(models, name)


def _models_file(file: ModelsFile) -> Iterator[CheckResult]:
    from rag.answering.personas import read_roles

    read_roles(file)
    summary = f"{len(file.model)} models and {len(file.persona)} personas, from {file.folder}."
    yield CheckResult(True, "Models file", summary)


def _language_model(models: LanguageModels, name: str) -> CheckResult:
    import asyncio

    from rag.models.llm import check_model

    subject = f"Language model {name}" if models.file.model else "Language model"
    try:
        model = models.get(name)
        asyncio.run(check_model(model))
    except RagError as error:
        within = hint_for_containers(models.described[name].base_url)
        return CheckResult(False, subject, error.message, f"{error.hint} {within}".strip())
    return CheckResult(True, subject, model.description + ".")


def _embedding(settings: Settings) -> Iterator[CheckResult]:
    from rag.models.embedding import open_embedding

    embedding = open_embedding(settings.embedding)
    summary = f"{embedding.name}, {embedding.dimension} dimensions, reads {embedding.max_tokens} tokens."
    yield CheckResult(True, "Embedding model", summary)
