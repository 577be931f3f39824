"""The sample, ingested with the real embedding model: questions find the page that answers them."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from pathlib import Path, PurePath

import pytest

from ingest.ingestor import Ingestor
from rag.answering.engine import ChatEngine
from rag.index.index import Index
from rag.models.llm import open_language_model
from rag.retrieval.retriever import HybridRetriever
from rag.settings import Settings
from rag.storage.selection import scope_of
from rag.types.documents import Message
from tests.test_sample import QUESTIONS, SAMPLE

ANSWERABLE = [line for line in QUESTIONS if line["answer"]]
ANSWERED = ANSWERABLE[::2]  # quoting embeds every sentence of the passages, which takes a second a question


@contextmanager
def opened(folder: Path, embedding):
    settings = Settings(_env_file=None, storage={"dir": folder}, llm={"provider": "quotes"})
    index = Index(folder, embedding)
    try:
        with Ingestor(settings, index) as ingestor:
            reports = [p.report for p in ingestor.add_paths([SAMPLE], "default") if p.report]
        assert {report.outcome for report in reports} == {"added"}, reports
        yield ChatEngine(HybridRetriever(index, settings.retrieval), open_language_model(settings), settings)
    finally:
        index.close()


@pytest.fixture(scope="module")
def results(tmp_path_factory, minilm):
    """For every question its first five hits, and for those of ANSWERED the answer in quotes."""
    with opened(tmp_path_factory.mktemp("sample"), minilm) as engine:
        scope = scope_of(engine.retriever.index.catalog, "default")

        async def ask_all():
            hits = {line["question"]: await engine.retrieve(line["question"], scope, 5) for line in ANSWERABLE}
            asked = [line["question"] for line in ANSWERED]
            return hits, {question: await engine.answer([Message("user", question)], scope) for question in asked}

        return asyncio.run(ask_all())


def place(item):
    return PurePath(item.source).name, item.page_index


def places(line):
    return [(p["source"], p["page_index"]) for p in (line, *line.get("also", ()))]


def test_questions_find_the_page_that_answers_them(results):
    hits, answers = results  # one test, so that parallel workers do not all ask the whole sample
    check_the_first_five(hits)
    check_the_cited_pages(answers)
    check_the_quoted_words(answers)
    check_that_every_quote_stands_on_its_page(answers)


def check_the_first_five(hits):
    misses = []
    for line in ANSWERABLE:
        found = [(PurePath(hit.source).name, hit.chunk.page_index) for hit in hits[line["question"]]]
        if places(line)[0] not in found:
            misses.append(f"{line['question']} {places(line)[0]}: {found}")
    print(f"{len(misses)} of {len(ANSWERABLE)} missed:", *misses, sep="\n")
    assert len(misses) <= 0.1 * len(ANSWERABLE), misses


def check_the_cited_pages(answers):
    misses = []
    for line in ANSWERED:
        cited = [place(citation) for citation in answers[line["question"]].citations]
        if not set(places(line)) & set(cited):
            misses.append(f"{line['question']} {places(line)}: {cited}")
    print(f"{len(misses)} of {len(ANSWERED)} cite other pages:", *misses, sep="\n")
    assert len(misses) <= 0.2 * len(ANSWERED), misses


def check_the_quoted_words(answers):
    missing = [
        line["question"] for line in ANSWERED if line["answer"] not in " ".join(answers[line["question"]].text.split())
    ]
    print(f"{len(missing)} of {len(ANSWERED)} answers are not in the quoted words:", *missing, sep="\n")
    assert len(missing) <= 0.5 * len(ANSWERED), missing


def check_that_every_quote_stands_on_its_page(answers):
    for answer in answers.values():
        for citation in answer.citations:
            passage = next(p for p in answer.passages if place(p) == place(citation) and citation.quote in p.text)
            assert passage.start <= citation.start < citation.end <= passage.end
