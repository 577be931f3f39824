"""What `rag doctor` examines: Python, storage, Chroma, models and their servers, GPU, disk; one result a line."""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from rag.errors import BackendUnavailable, RagError, StorageLocked
from rag.index.chroma_server import chroma_server
from rag.index.integrity import count_of_words, damage_of_vectors, damage_of_words
from rag.index.vector_copy import damage_of_copy
from rag.models.embedding_base import bundled_tokenizer
from rag.models.llm import probe_model_servers
from rag.models.models_file import ModelsFile
from rag.models.openai.discovery import hint_for_containers, is_in_container, shown_address
from rag.settings import DEFAULT_EMBEDDING, Settings
from rag.storage.blobs import StoredFiles
from rag.storage.connect import has_catalog, open_catalog, open_postgres
from rag.storage.database import CATALOG_NAME
from rag.storage.exchange import owned
from rag.storage.file_hash import hash_of
from rag.storage.files import FileRecords
from rag.storage.lock import read_owner
from rag.storage.private import is_open_to_others, make_private
from rag.storage.sqlite import check_catalog
from rag.text.tokenizers import continued_words, token_spans

if TYPE_CHECKING:
    from rag.models.registry import LanguageModels
    from rag.storage.catalog import Catalog

_LOW_DISK_BYTES = 2_000_000_000
_MOST_READ = 100  # documents, of which the language is looked at
_ENOUGH = 3  # chunks of each
# The share of words that the default model's vocabulary cuts into pieces: 0.02 to 0.3 in English of any field, code
# too; 0.5 to 0.8 in Spanish, 0.7 and more in German, Dutch or Polish, 1 in other scripts.
_NOT_ENGLISH = 0.45
_MANY = 0.2  # of the documents


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
    yield from _checked("Permissions", _permissions(settings))
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
    yield from _checked("Reranker", _reranker(settings))


def _checked(subject: str, results: Iterator[CheckResult]) -> Iterator[CheckResult]:
    """The results, and an error that ends them as the last one."""
    try:
        yield from results
    except RagError as error:
        yield CheckResult(False, subject, error.message, error.hint)
    except OSError as error:
        yield CheckResult(False, subject, f"{error.filename}: {error.strerror}.")


def _python() -> CheckResult:
    version = platform.python_version()
    missing = [name for name in ("chromadb", "tantivy", "chainlit", "torch") if find_spec(name) is None]
    if missing:
        return CheckResult(False, "Python", f"{', '.join(missing)} missing.", "Run `make setup`.")
    return CheckResult(True, "Python", version)


def _permissions(settings: Settings) -> Iterator[CheckResult]:
    folder = settings.storage.dir.absolute()
    if not (is_open_to_others(folder) and any(folder.iterdir())):
        return
    make_private(folder)  # as whatever opens it does
    if not is_open_to_others(folder):
        yield CheckResult(
            False,
            "Permissions",
            f"other accounts of this machine could read {folder} until now.",
            f"The folder itself is shut now; `chmod -R go= {folder}` shuts all that is in it. If accounts were there "
            "that you do not trust, change passwords and API keys.",
        )
        return
    owner = folder.stat().st_uid
    if owner == os.geteuid():
        advice = "If they are not to, set RAG_STORAGE__DIR to a folder for Footnote alone, where permissions are kept."
    else:
        advice = f"If they are not to, the owner (user {owner}) shuts it with `chmod go= {folder}`, or gives it away."
    yield CheckResult(True, "Permissions", f"other accounts of this machine may read {folder}; it stays so.", advice)


def _database(settings: Settings) -> Iterator[CheckResult]:
    database = open_postgres(settings.storage)
    if database is not None:
        with closing(database):
            [(version,)] = database.read("SHOW server_version")
        yield CheckResult(True, "Database", f"PostgreSQL {version} has the catalog.")


def _storage(settings: Settings, *, deep: bool) -> Iterator[CheckResult]:
    folder, is_shared = settings.storage.dir, settings.storage.is_shared
    with ExitStack() as stack:
        try:
            stack.enter_context(owned(settings.storage))
        except StorageLocked as error:
            owner = read_owner(folder)
            if owner is not None and owner.url:
                summary = f"a server runs at {owner.address} and owns {folder}; commands work through it."
                yield CheckResult(True, "Lock", summary)
            else:
                yield CheckResult(True, "Lock", error.message, error.hint)
            return
        summary = "other processes may share the catalog." if is_shared else "no other process uses the storage folder."
        yield CheckResult(True, "Lock", summary)
        catalog = _catalog(settings)
        yield catalog
        if catalog.ok and has_catalog(settings.storage):
            yield from _indexes(settings, deep=deep)
            if deep:
                yield _files(settings)
            if settings.embedding.model == DEFAULT_EMBEDDING:
                yield from _languages(settings)


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


def _pieces_of_words(catalog: Catalog) -> list[float]:
    """Of documents from all over the catalog, the share of words that the default model cuts into pieces."""
    tokenizer = bundled_tokenizer()
    if tokenizer is None:
        return []
    documents = [document for document in catalog.documents() if document.chunks]
    sample = documents[:: -(-len(documents) // _MOST_READ) or 1]
    spans = token_spans(tokenizer)
    texts = (" ".join(chunk.text for chunk in islice(catalog.chunks_of(document.id), _ENOUGH)) for document in sample)
    return [continued_words(text, spans) for text in texts]


def _languages(settings: Settings) -> Iterator[CheckResult]:
    """Whether the default model, which reads English, fits the documents."""
    with closing(open_catalog(settings.storage)) as catalog:
        shares = _pieces_of_words(catalog)
    foreign = [share for share in shares if share > _NOT_ENGLISH]
    if not shares:
        return
    if len(foreign) < _MANY * len(shares):
        yield CheckResult(True, "Languages", "the documents are mostly English, which the embedding model reads.")
        return
    yield CheckResult(
        True,
        "Languages",
        f"{len(foreign)} of {len(shares)} documents looked at seem not to be English: the embedding model has no word "
        f"for {statistics.mean(foreign):.0%} of theirs (in English for 2 to 30 %).",
        "A model for many languages finds more in them: `make setup EXTRAS=multilingual`, then `rag reindex --model "
        "multilingual`, and RAG_EMBEDDING__MODEL=multilingual from then on (docs/embedding.md).",
    )


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
    where = f" at {shown_address(settings.embedding.base_url)}" if settings.embedding.base_url else ""
    summary = f"{embedding.name}{where}, {embedding.dimension} dimensions, reads {embedding.max_tokens} tokens."
    yield CheckResult(True, "Embedding model", summary)


def _reranker(settings: Settings) -> Iterator[CheckResult]:
    from rag.models.reranker import open_reranker

    reranker = open_reranker(settings.reranker)
    if reranker is not None:
        reranker.score("What is checked?", ["Whether it gives scores."])
        yield CheckResult(True, "Reranker", f"{reranker.name} gives scores.")
