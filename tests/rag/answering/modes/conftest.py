"""What tests of the modes share: an index, and engines whose models say what a test wants."""

from __future__ import annotations

from contextlib import aclosing, closing
from functools import partial

import pytest

from rag.answering.engine import ChatEngine
from rag.answering.event_stream import EventStream
from rag.answering.modes.dispatch import answer
from rag.answering.modes.request import Request
from rag.answering.modes.route import RouteCounts
from rag.errors import NotFound
from rag.index.index import Index
from rag.models.models_file import ModelsFile
from rag.retrieval.retriever import HybridRetriever
from rag.types.documents import Message, Scope
from rag.types.models import LanguageModel
from tests.rag.versions import make_version

PUMP = ["The pump needs oil every 90 days.\nKeep the crate dry.", "More oil does the pump no harm."]


@pytest.fixture
def index(tmp_path, bag_of_words):
    with closing(Index(tmp_path / "storage", bag_of_words)) as index:
        yield index


@pytest.fixture
def filled(index, bag_of_words):
    index.replace_documents([make_version("doc_a", PUMP, bag_of_words, heading="Care")])
    index.replace_documents([make_version("doc_b", ["Hotels cost 185 EUR a night."], bag_of_words)])
    return index


@pytest.fixture
def everything(index):
    return Scope(tuple(collection.id for collection in index.catalog.collections()))


@pytest.fixture
def make_engine(index, settings):
    def make(model: LanguageModel, **groups) -> ChatEngine:
        changed = settings.model_validate({**settings.model_dump(), **groups})
        return ChatEngine(HybridRetriever(index, changed.retrieval), model, changed)

    return make


@pytest.fixture
def events_of(everything, make_engine):
    """Asks models by name (the first one is the default) and gives all events."""

    async def events_of(question, *models, file=None, counts=None, scope=everything, settings=None, **request):
        messages = [Message("user", question)] if isinstance(question, str) else question
        engines = {model.name: make_engine(model, **(settings or {})) for model in models}

        def engine(name):
            if name and name not in engines:
                raise NotFound(f"There is no model {name!r}.")
            return engines[name or models[0].name]

        asked = Request(messages, scope, **request)
        work = partial(answer, asked, engine, file or ModelsFile(), counts or RouteCounts())
        async with aclosing(EventStream(work)) as events:
            return [event async for event in events]

    return events_of


def models_file(*names: str, **told) -> ModelsFile:
    return ModelsFile.model_validate({"model": [{"name": name, "provider": "scripted"} for name in names], **told})
