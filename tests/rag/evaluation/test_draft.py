"""Drafted questions: which passages are asked about, and which replies are kept."""

from __future__ import annotations

import json
from contextlib import closing
from itertools import islice

import pytest

from rag.errors import ConfigurationError, NotFound
from rag.evaluation.draft import draft_questions, pick_passages
from rag.index.index import Index
from rag.models.scripted import open_scripted
from rag.settings import LanguageModelSettings
from rag.storage.selection import Selection
from rag.types.models import LanguageModel
from tests.rag.operations.archive.archives import put_file

LONG = (
    "The {} pump needs oil every 90 days, and its filter must be cleaned before each use by somebody who knows how. {}"
)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory, bag_of_words):
    folder = tmp_path_factory.mktemp("draft")
    with closing(Index(folder / "storage", bag_of_words)) as index:
        for name in ("red", "green", "blue"):
            pages = ["Too short.", *(LONG.format(name, number) for number in range(4))]
            put_file(index, bag_of_words, folder / name, f"{name}.txt", pages, title=f"The {name} pump")
        index.catalog.create_collection("nothing")
        yield index.catalog


def scripted(script):
    return open_scripted(LanguageModelSettings(script=script))


def drafts(catalog, script, number=3):
    return list(draft_questions(scripted(script), islice(pick_passages(catalog, "default", 0), number)))


def test_passages_are_spread_over_documents_and_can_be_drawn_again(catalog):
    drawn = [(pick.name, pick.chunk.text) for pick in pick_passages(catalog, "default", 3)]
    assert [len({name for name, _ in drawn[turn : turn + 3]}) for turn in (0, 3, 6, 9)] == [3] * 4
    assert len(set(drawn)) == len(drawn) == 12
    assert drawn == [(pick.name, pick.chunk.text) for pick in pick_passages(catalog, "default", 3)]
    assert drawn != [(pick.name, pick.chunk.text) for pick in pick_passages(catalog, "default", 4)]
    with pytest.raises(NotFound, match="nothing"):
        next(pick_passages(catalog, "nothing", 0))


def test_passages_of_a_part_of_the_collection_only(catalog):
    picks = list(pick_passages(catalog, "default", 3, Selection(documents=("red.txt", "blue.txt"), pages=(3, 4))))
    assert {pick.name for pick in picks} == {"red.txt", "blue.txt"}
    assert {pick.chunk.page_index for pick in picks} == {2, 3}


def test_a_draft_is_a_line_of_questions(catalog):
    model = scripted("**Question:** When does the pump need oil?\n**Answer:** “every 90 Days”")
    (pick,) = islice(pick_passages(catalog, "default", 0), 1)
    (draft,) = draft_questions(model, [pick])
    line = json.loads(draft.line(5))
    assert line == {
        "id": "draft-5",
        "question": "When does the pump need oil?",
        "answer": "every 90 Days",
        "document": pick.name,
        "page": pick.chunk.page_label,
        "text": pick.chunk.text,
    }
    prompt = model.llm.prompts[-1]
    assert pick.document.title in prompt
    assert prompt.rindex("<source 1") < prompt.index(pick.chunk.text) < prompt.index("</source 1")


@pytest.mark.parametrize(
    "script",
    [
        "Question: When?\nAnswer: every 91 days",
        "Question: When?",
        "Answer: every 90 days",
        "I would rather not.",
    ],
)
def test_replies_that_the_passage_does_not_bear_out_are_dropped(catalog, script):
    assert drafts(catalog, script) == [None] * 3


def test_a_question_is_kept_once(catalog):
    kept = drafts(catalog, "Question: When?\nAnswer: every 90 days")
    assert [draft is not None for draft in kept] == [True, False, False]


def test_without_a_model_it_says_what_to_do(catalog):
    quotes = LanguageModel("quotes", "quotes", "no model")
    with pytest.raises(ConfigurationError) as caught:
        list(draft_questions(quotes, pick_passages(catalog, "default", 0)))
    assert "RAG_LLM__BASE_URL" in caught.value.hint
