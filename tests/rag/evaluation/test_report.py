"""Figures, gate and page, from outcomes made by hand."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from rag.errors import InvalidRequest
from rag.evaluation.baseline import Baseline, compare, differences, read_baseline
from rag.evaluation.questions import Question
from rag.evaluation.report import Figure, evaluate, failures, to_json
from rag.evaluation.report_html import report_page
from rag.evaluation.run import Found, JudgedAnswer, Outcome
from rag.storage.selection import Selection
from rag.types.documents import Claim

EVIL = '<script>alert("1")</script><img src="http://evil.example/x.png">&'
CLAIMS = (
    Claim(0, 8, (1,), "supported"),
    Claim(0, 8, (1,), "partly", EVIL),
    Claim(0, 8, (1,), "unsupported", EVIL),
    Claim(8, len(EVIL), (), "unsupported", EVIL),
)


def outcome(name, *, answerable=True, answer=None, **values):
    question = Question(1, name, f"{EVIL} {name}?", documents=(EVIL,), answers=(EVIL,), is_answerable=answerable)
    usual = {
        "unknown": (),
        "ranks": (1,) if answerable else (),
        "page_ranks": (),
        "document_first": True if answerable else None,
        "evidence_in_context": 1.0 if answerable else None,
        "answer_in_context": True if answerable else None,
        "relevance": 1.0 if answerable else 0.2,
        "refused": not answerable,
        "milliseconds": 10.0,
        "found": (Found(EVIL, EVIL, EVIL, EVIL, EVIL, is_expected=True),),
    }
    return Outcome(question, **{**usual, **values}, answer=answer)


def answer(**values):
    usual = {"model": EVIL, "refused": False, "claims": (), "holds_answer": True, "cites_page": None}
    return JudgedAnswer(EVIL, **{**usual, **values})


OUTCOMES = (
    outcome("fine", page_ranks=(2, None), milliseconds=20.0),
    outcome("late", ranks=(12, 4), evidence_in_context=0.5, answer_in_context=False, page_ranks=(None,)),
    outcome("refused", ranks=(3,), refused=True, relevance=0.3),
    outcome("answered", answerable=False, refused=False, relevance=0.9),
    outcome("unanswerable", answerable=False),
)


@pytest.fixture
def evaluation():
    return evaluate("papers", 0.59, OUTCOMES)


def test_figures_are_means_over_the_questions_concerned(evaluation):
    figures = evaluation.figures
    assert figures["recall@1"] == Figure(pytest.approx(1 / 3), 3)
    assert figures["recall@5"] == Figure(pytest.approx(2.5 / 3), 3)
    assert figures["mrr@10"] == Figure(pytest.approx((1 + 1 / 4 + 1 / 3) / 3), 3)
    assert [figures[f"page_hit@{k}"] for k in (1, 3)] == [Figure(0, 2), Figure(0.5, 2)]
    assert figures["evidence_in_context"] == Figure(pytest.approx(2.5 / 3), 3)
    assert figures["unanswerable_refused"] == Figure(0.5, 2)
    assert figures["answerable_refused"] == Figure(pytest.approx(1 / 3), 3)
    assert "answer_holds_text" not in figures
    assert (evaluation.latency.p50, evaluation.latency.p95) == (10, pytest.approx(18))
    at = {point.threshold: (point.answerable, point.unanswerable) for point in evaluation.curve}
    assert at[0.59] == (pytest.approx(1 / 3), 0.5)


def test_figures_of_answers():
    outcomes = [
        outcome("right", answer=answer(cites_page=True, claims=(Claim(0, 8, (1,), "supported"),))),
        outcome("wrong", answer=answer(holds_answer=False, cites_page=False, claims=CLAIMS)),
        outcome("silent", answer=answer(refused=True, holds_answer=False)),
        outcome("unanswerable", answerable=False, refused=False, answer=answer(refused=True, holds_answer=None)),
    ]
    evaluation = evaluate("papers", 0.59, outcomes)
    figures = evaluation.figures
    assert figures["answer_holds_text"] == Figure(pytest.approx(1 / 3), 3)
    assert figures["answer_cites_page"] == Figure(0.5, 2)
    assert figures["claims_supported"] == Figure(0.625, 2)
    assert figures["unanswerable_not_answered"] == Figure(1, 1)
    assert figures["answerable_not_answered"] == Figure(pytest.approx(1 / 3), 3)
    assert evaluation.model == EVIL
    assert [failures(one) for one in outcomes] == [
        [],
        [
            "the expected text is not in the answer",
            "the answer cites no expected page",
            "3 of 4 claims not supported by their sources",
        ],
        ["the model found no answer"],
        [],
    ]


def test_failures_say_why():
    assert [failures(one) for one in OUTCOMES] == [
        [],
        ["expected evidence not among the first 10 hits (1 of 2 pieces)", "the answer's text is not in the prompt"],
        ["refused, though it is answerable"],
        ["not refused, though it is unanswerable"],
        [],
    ]
    assert failures(outcome("x", unknown=("a.pdf",), ranks=(None,))) == [
        "not in the collection: a.pdf",
        "expected evidence not among the first 10 hits",
    ]
    assert failures(outcome("x", evidence_in_context=0.0)) == ["evidence found, but not in the prompt"]


def test_json_is_a_baseline(evaluation, tmp_path):
    path = tmp_path / "figures.json"
    part = Selection(("a.pdf",), {"type": "eq", "key": "year", "value": 2021}, (3, 7))
    path.write_text(json.dumps(to_json(replace(evaluation, selection=part))), encoding="utf-8")
    assert read_baseline(path) == Baseline("papers", 5, evaluation.figures, part)
    lines = json.loads(path.read_text())["outcomes"]
    assert [line["id"] for line in lines] == ["fine", "late", "refused", "answered", "unanswerable"]
    assert (lines[1]["ranks"], bool(lines[1]["failures"])) == ([12, 4], True)


def test_other_questions_or_another_collection_are_told(evaluation):
    assert differences(Baseline("papers", 5, {}), evaluation) == []
    assert differences(Baseline("a[/b]", 6, {}), evaluation) == [
        "The baseline asked another collection: a[/b].",
        "The baseline asked 6 questions, this run 5.",
    ]
    part = Selection(("Ada's notes.pdf",), pages=(3, 7))
    (told,) = differences(Baseline("papers", 5, {}, part), evaluation)
    assert told == "The baseline asked another part: --document 'Ada'\"'\"'s notes.pdf' --pages 3-7."
    (told,) = differences(Baseline("papers", 5, {}), replace(evaluation, selection=part))
    assert told == "The baseline asked another part: all documents."


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_figures_that_nothing_is_worse_than_are_refused(evaluation, tmp_path, value):
    content = to_json(evaluation)
    content["figures"]["mrr@10"]["value"] = value
    path = tmp_path / "figures.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InvalidRequest, match="no number"):
        read_baseline(path)


@pytest.mark.parametrize(
    "content", ["", "[]", "3", '{"form": 1}', '{"form": 1, "figures": []}', '{"form": 9, "figures": {}}']
)
def test_what_is_no_baseline_is_refused(tmp_path, content):
    path = tmp_path / "figures.json"
    path.write_text(content)
    with pytest.raises(InvalidRequest):
        read_baseline(path)
    with pytest.raises(InvalidRequest):
        read_baseline(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("name", "before", "now", "is_worse"),
    [
        ("recall@5", 0.80, 0.78, False),
        ("recall@5", 0.80, 0.77, True),
        ("recall@5", 0.80, 0.95, False),
        ("answerable_refused", 0.10, 0.12, False),
        ("answerable_refused", 0.10, 0.13, True),
        ("answerable_refused", 0.10, 0.00, False),
        ("recall@5", 0.80, None, True),
        ("recall@5", None, 0.10, False),
    ],
)
def test_the_gate(name, before, now, is_worse):
    former = {} if before is None else {name: Figure(before, 10)}
    present = {} if now is None else {name: Figure(now, 10)}
    (change,) = compare(former, present, 0.02)
    assert (change.measure.name, change.is_worse) == (name, is_worse)


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the text that is shown."""

    def __init__(self, page):
        super().__init__()
        self.found, self.shown = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.shown += data


def test_the_page_loads_nothing_and_shows_documents_as_text(evaluation):
    with_answers = evaluate("papers", 0.59, [*OUTCOMES, outcome("said", answer=answer(claims=CLAIMS))])
    for page in (report_page(evaluation, EVIL), report_page(with_answers, EVIL)):
        elements = Elements(page)
        names = {tag for tag, _ in elements.found}
        assert not names & {"script", "img", "link", "iframe", "object", "base", "form", "a"}
        given = {name for _, attributes in elements.found for name in attributes}
        assert not [name for name in given if name.startswith("on")]
        assert not given & {"src", "href", "style", "srcset", "action"}
        assert not re.search(r"url\(|@import", page)
        assert "default-src 'none'" in page
        assert elements.shown.count(EVIL) > 10


def test_the_page_shows_figures_plots_and_what_failed(evaluation):
    page = report_page(evaluation, "questions.jsonl")
    elements = Elements(page)
    assert "Failed questions: 3 of 5" in elements.shown
    assert "refused, though it is answerable" in elements.shown
    plots = [ET.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]
    assert [plot.get("aria-label") for plot in plots] == [
        "Recall and page hit among the first hits",
        "Share refused, by threshold",
        "Searches by duration",
    ]
    bars = plots[0].findall("rect")
    titles = [bar.find("title").text for bar in bars]
    assert titles[:2] == ["recall, 1: 0.333", "page hit, 1: 0.000"]
    heights = [float(bar.get("height")) for bar in bars]
    assert heights[0] / heights[-2] == pytest.approx((1 / 3) / (2.5 / 3), abs=0.01)
    assert sum(int(bar.find("title").text.rpartition(" ")[2]) for bar in plots[2].findall("rect")) == 5
    for plot in plots:
        for shape in plot.iter("rect"):
            assert 0 <= float(shape.get("x")) <= 560
            assert float(shape.get("y")) + float(shape.get("height")) <= 260


def test_a_page_of_one_question_without_evidence():
    page = report_page(evaluate("papers", 0.59, [outcome("x", ranks=(), answer_in_context=None)]), "q")
    assert re.findall(r'aria-label="(.*?)"', page) == ["Searches by duration"]
