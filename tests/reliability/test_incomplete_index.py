"""While a part of the index is damaged, or is made again, the other part answers, and says so."""

from __future__ import annotations

import shutil
import threading
from contextlib import closing

import pytest

from ingest.ingestor import Ingestor
from rag.answering.engine import ChatEngine
from rag.answering.replies import reply_to
from rag.index.index import Index
from rag.models.llm import open_language_model
from rag.retrieval.retriever import HybridRetriever
from rag.settings import RetrievalSettings
from rag.types.documents import Message, Scope
from tests.commands import Commands
from tests.rag.versions import make_version

QUESTION = "How often does the pump need oil?"


@pytest.fixture
def storage(tmp_path, bag_of_words):
    with closing(Index(tmp_path / "storage", bag_of_words)) as index:
        index.replace_documents([make_version("doc_a", ["The pump needs oil every 90 days."], bag_of_words)])
    return tmp_path / "storage"


def everything(index):
    return Scope((index.catalog.collection().id,))


class WaitingEmbedding:
    """Embeds passages when it may."""

    def __init__(self, embedding):
        self._embedding = embedding
        self.may_embed = threading.Event()

    def __getattr__(self, name):
        return getattr(self._embedding, name)

    def embed_passages(self, texts):
        self.may_embed.wait()
        return self._embedding.embed_passages(texts)


@pytest.mark.parametrize("suffix", [".store", ".term"])  # tantivy panics, which is no Exception, and raises
async def test_words_that_are_damaged_under_a_search_do_not_end_it(storage, bag_of_words, settings, caplog, suffix):
    with closing(Index(storage, bag_of_words)) as index:
        for path in (storage / "words").glob(f"*{suffix}"):
            with path.open("r+b") as file:  # in its place: the index has it open
                file.write(bytes(path.stat().st_size))
        retriever = HybridRetriever(index, RetrievalSettings())
        hits = await retriever.retrieve(QUESTION, everything(index), 10)
        assert [hit.chunk.text for hit in hits] == ["The pump needs oil every 90 days."]
        assert index.impaired == {"words"}
        assert "The lexical leg of a search failed." in caplog.text
        assert ("RuntimeError: tantivy:" in caplog.text) is (suffix == ".store")
        engine = ChatEngine(retriever, open_language_model(settings), settings)
        answer = await engine.answer([Message("user", QUESTION)], everything(index))
        assert answer.notices[-1] == "index_incomplete"
        assert answer.text.endswith(reply_to(QUESTION, "index_incomplete"))
    with closing(Index(storage, bag_of_words)) as index:
        assert [chunk for chunk, _ in index.search_lexical(QUESTION, everything(index), 5)] == ["doc_a:1:0"]
        answer = await ChatEngine(HybridRetriever(index, RetrievalSettings()), engine.model, settings).answer(
            [Message("user", QUESTION)], everything(index)
        )
        assert index.impaired == frozenset()
        assert "index_incomplete" not in answer.notices


@pytest.mark.slow
async def test_a_long_repair_goes_on_while_the_words_answer(storage, bag_of_words):
    shutil.rmtree(storage / "vectors")
    embedding = WaitingEmbedding(bag_of_words)
    with closing(Index(storage, embedding)) as index:
        try:
            assert index.impaired == {"vectors"}
            assert index.search_dense(QUESTION, everything(index), 5) == []
            hits = await HybridRetriever(index, RetrievalSettings()).retrieve(QUESTION, everything(index), 10)
            assert [hit.lexical_rank for hit in hits] == [1]
            progress = next(index.follow_repair())
            assert (progress.part, progress.done, progress.total) == ("vectors", 0, 1)
        finally:
            embedding.may_embed.set()
        for progress in index.follow_repair():
            assert progress.total == 1
        assert index.impaired == frozenset()
        assert [chunk for chunk, _ in index.search_dense(QUESTION, everything(index), 5)] == ["doc_a:1:0"]


@pytest.mark.slow
def test_a_file_that_is_read_again_does_not_wait_for_a_repair_but_a_command_does(storage, bag_of_words, settings):
    settings = settings.model_copy(update={"storage": settings.storage.model_copy(update={"dir": storage})})
    path = storage.with_name("pump.txt")
    path.write_text("The pump needs oil every 90 days.")
    with closing(Index(storage, bag_of_words)) as index, Ingestor(settings, index) as ingestor:
        list(ingestor.add_paths([path]))
    shutil.rmtree(storage / "vectors")
    embedding = WaitingEmbedding(bag_of_words)
    latest = threading.Timer(60, embedding.may_embed.set)
    latest.start()
    with closing(Index(storage, embedding)) as index, Ingestor(settings, index) as ingestor:
        assert [step.report.outcome for step in ingestor.add_paths([path]) if step.report] == ["unchanged"]
        assert index.impaired == {"vectors"}
        latest.cancel()
        embedding.may_embed.set()
        ingestor.wait_for_repair()
        assert index.impaired == frozenset()


@pytest.mark.slow
async def test_a_repair_that_is_broken_off_is_done_by_the_next_start(storage, bag_of_words):
    shutil.rmtree(storage / "vectors")
    embedding = WaitingEmbedding(bag_of_words)
    index = Index(storage, embedding)
    threading.Timer(1, embedding.may_embed.set).start()
    index.close()
    with closing(Index(storage, bag_of_words)) as index:
        assert index.impaired == frozenset()
        assert [chunk for chunk, _ in index.search_dense(QUESTION, everything(index), 5)] == ["doc_a:1:0"]


def test_an_ingest_of_unchanged_files_makes_again_what_is_damaged(tmp_path):
    commands = Commands(tmp_path)
    document = tmp_path / "pump.txt"
    document.write_text("The pump needs oil every 90 days.")
    commands.run("ingest", document)
    (commands.storage / "vectors" / "chroma.sqlite3").write_bytes(b"no database")
    assert "problem  Vectors" in commands.run("rag", "doctor", code=1).stdout
    process = commands.start("ingest", document)
    output, errors = process.communicate(timeout=120)
    assert (process.returncode, "unchanged" in output) == (0, True)
    assert "chroma.sqlite3 changed while nobody was writing" in errors
    assert "ok       Vectors" in commands.run("rag", "doctor").stdout
