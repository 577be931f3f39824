"""`rag eval` over a few documents, with the real index and embedding model, in this process and in real ones."""

from __future__ import annotations

import json
import re
import socket

import pytest

from rag.cli.eval import evaluate
from rag.errors import ConfigurationError, Conflict, InvalidRequest, NotFound
from rag.evaluation.draft import Draft, is_near_miss, pick_passages
from rag.evaluation.questions import Question
from rag.evaluation.run import EvaluationRun
from rag.operations.local_backend import LocalBackend
from rag.operations.services import Services
from rag.settings import DEFAULT_EMBEDDING, load_settings
from rag.storage.selection import Selection
from tests.commands import Commands
from tests.ingest.loaders.documents import make_pdf

QUESTIONS = [
    {"question": "How often does the pump need oil?", "document": "manual.pdf", "page": "2", "answer": "90 days"},
    {"question": "What colour is the fox?", "document": "fox.txt", "text": "fox is  ORANGE", "answer": "Blue"},
    {"question": "Who signs contracts above 5,000 euros?", "document": "missing.txt", "author": "me"},
    {"id": "moon", "question": "Which knight won the tournament in Carcassonne?", "answerable": False},
]


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    commands = Commands(tmp_path_factory.mktemp("eval"))
    commands.environment["RAG_EMBEDDING__MODEL"] = DEFAULT_EMBEDDING
    page = "The pump needs oil every 90 days, and the filter beside it is cleaned before each use of the machine."
    make_pdf(commands.folder / "manual.pdf", [["The cover."], [page]], title="Pump manual")
    (commands.folder / "fox.txt").write_text("The fox is orange. <script>alert(1)</script> It sleeps all day. 🦊")
    (commands.folder / "rules.md").write_text("# Rules\n\nContracts above 5,000 euros are signed by two directors.")
    commands.run("ingest", "manual.pdf", "fox.txt", "rules.md")
    write(commands, "questions.jsonl", QUESTIONS)
    return commands


@pytest.fixture
def run(commands, monkeypatch, capsys):
    """Runs the command in this process, as `rag.cli.runner.run` does: gives its exit code and what it said."""
    monkeypatch.chdir(commands.folder)

    def run(*arguments, **environment):
        for name, value in {**commands.environment, **environment}.items():
            if name.startswith(("RAG_", "COLUMNS")):
                monkeypatch.setenv(name, value)
        code = evaluate.main(list(map(str, arguments)), standalone_mode=False)
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def write(commands, name, questions):
    commands.folder.joinpath(name).write_text("\n".join(map(json.dumps, questions)), encoding="utf-8")


def read(commands, name):
    return json.loads(commands.folder.joinpath(name).read_text("utf-8"))


def rounded(report):
    return {name: (round(figure["value"], 3), figure["questions"]) for name, figure in report["figures"].items()}


def test_figures_page_and_gate(commands, run):
    _, said = run("questions.jsonl", "--json", "figures.json", "--html", "report.html")
    assert "recall@10" in said
    assert "note    not known and passed over: author" in said
    assert "note    line 3: not in the collection: missing.txt" in said
    report = read(commands, "figures.json")
    figures = rounded(report)
    assert figures["recall@1"] == figures["document_first"] == (0.667, 3)
    assert figures["page_hit@1"] == (1, 1)
    assert figures["evidence_in_context"] == (0.667, 3)
    assert figures["answer_in_context"] == (0.5, 2)
    assert figures["unanswerable_refused"] == (1, 1)
    assert figures["answerable_refused"] == (0, 3)
    assert [outcome["id"] for outcome in report["outcomes"]] == ["line 1", "line 2", "line 3", "moon"]
    assert report["outcomes"][0]["found"][0]["page_label"] == "2"
    assert report["latency"]["p95"] >= report["latency"]["p50"] > 0
    page = commands.folder.joinpath("report.html").read_text("utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page

    code, said = run("questions.jsonl", "--baseline", "figures.json", "--tolerance", 0)
    assert (code, "No measures are worse" in said) == (0, True)
    write(commands, "worse.jsonl", [QUESTIONS[0], {**QUESTIONS[1], "text": "The fox is green."}, *QUESTIONS[2:]])
    worse = commands.run("rag", "eval", "worse.jsonl", "--baseline", "figures.json", code=1)
    assert "-0.333" in worse.stdout
    assert "measures are worse than the baseline by more than 0.02" in worse.stdout
    assert run("worse.jsonl", "--baseline", "figures.json", "--tolerance", 0.5)[0] == 0


def test_answers(commands, run):
    script = "It needs oil every 90\ndays [1]. The moon is made of cheese."
    _, said = run("questions.jsonl", "--answers", "--json", "answers.json", RAG_LLM__SCRIPT=script)
    assert "4 questions, 1 of them unanswerable; answers by scripted" in said
    figures = rounded(read(commands, "answers.json"))
    assert figures["answer_holds_text"] == (0.5, 2)
    assert figures["answer_cites_page"] == (1, 1)
    assert figures["claims_supported"] == (0.5, 3)
    assert figures["unanswerable_not_answered"] == (1, 1)
    assert figures["answerable_not_answered"] == (0, 3)
    code, said = run("questions.jsonl", "--baseline", "answers.json")
    assert (code, said.count("not measured now")) == (1, 5)


@pytest.mark.slow
def test_a_running_server_is_asked(commands, run):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    run("questions.jsonl", "--json", "here.json")
    run("questions.jsonl", "--document", "fox.txt", "--answers", "--json", "part-here.json")
    with commands.server(port):
        run("questions.jsonl", "--json", "there.json", "--answers")
        with pytest.raises(NotFound, match="elsewhere"):
            run("questions.jsonl", "--collection", "elsewhere")
        run("questions.jsonl", "--document", "fox.txt", "--answers", "--json", "part-there.json")
    part_here, part_there = read(commands, "part-here.json"), read(commands, "part-there.json")
    assert part_here["figures"] == part_there["figures"]
    assert [o["relevance"] for o in part_here["outcomes"]] == pytest.approx(
        [o["relevance"] for o in part_there["outcomes"]]
    )
    here, there = read(commands, "here.json"), read(commands, "there.json")
    assert here["figures"].items() <= there["figures"].items()
    assert [o["relevance"] for o in here["outcomes"]] == pytest.approx([o["relevance"] for o in there["outcomes"]])


def test_a_part_of_the_collection_is_asked(commands, run):
    _, said = run("questions.jsonl", "--document", "fox.txt", "--json", "part.json", "--html", "part.html")
    assert "Collection default (--document fox.txt), 4 questions" in said
    part = read(commands, "part.json")
    assert rounded(part)["recall@1"] == (0.333, 3)  # the manual is not among them
    assert {hit["source"].rpartition("/")[2] for o in part["outcomes"] for hit in o["found"]} == {"fox.txt"}
    assert "asked --document fox.txt" in commands.folder.joinpath("part.html").read_text("utf-8")
    run("questions.jsonl", "--pages", "1", "--json", "page.json")
    assert rounded(read(commands, "page.json"))["page_hit@10"] == (0, 1)
    _, said = run("questions.jsonl", "--pages", "1", "--baseline", "part.json", "--tolerance", 1)
    assert "note    The baseline asked another part: --document fox.txt." in said
    with pytest.raises(NotFound, match=r"other\.txt"):
        run("questions.jsonl", "--document", "other.txt")


def test_drafts_are_questions_for_the_next_run(commands, run):
    script = "Question: How often does the pump need oil?\nAnswer: every 90 days"
    _, said = run("--draft", "draft.jsonl", "--number", 1, RAG_LLM__SCRIPT=script)
    assert "1 questions drafted, and 0 near misses, into draft.jsonl" in said
    line = read(commands, "draft.jsonl")
    assert (line["document"], line["page"], line["answer"]) == ("manual.pdf", "2", "every 90 days")
    run("draft.jsonl", "--json", "drafted.json")
    assert read(commands, "drafted.json")["figures"]["recall@1"] == {"value": 1.0, "questions": 1}
    with pytest.raises(Conflict, match=r"draft\.jsonl"):  # somebody may have edited it
        run("--draft", "draft.jsonl")
    _, said = run("--draft", "none.jsonl", RAG_LLM__SCRIPT="No.")
    assert "0 questions drafted" in said
    assert "dropped" in said
    assert not commands.folder.joinpath("none.jsonl").exists()
    with pytest.raises(ConfigurationError):
        run("--draft", "x.jsonl", RAG_LLM__PROVIDER="quotes")


def test_a_question_may_be_asked_without_a_document(commands, run):
    near_miss = {"id": "near", "question": QUESTIONS[0]["question"], "without": "manual.pdf", "answerable": False}
    write(commands, "near.jsonl", [QUESTIONS[0], near_miss])
    run("near.jsonl", "--json", "near.json")
    report = read(commands, "near.json")
    there, away = report["outcomes"]
    assert "manual.pdf" in {hit["source"].rpartition("/")[2] for hit in there["found"]}
    assert "manual.pdf" not in {hit["source"].rpartition("/")[2] for hit in away["found"]}
    assert rounded(report)["unanswerable_refused"] == (1, 1)
    run("near.jsonl", "--document", "manual.pdf", "--document", "fox.txt", "--json", "part.json")
    assert {hit["source"].rpartition("/")[2] for hit in read(commands, "part.json")["outcomes"][1]["found"]} == {
        "fox.txt"
    }


def test_a_draft_is_a_near_miss_where_no_other_document_has_the_answer(commands, monkeypatch):
    (commands.folder / "pump.txt").write_text("The old pump needs oil every 90 days. " + "It is green. " * 10)
    (commands.folder / "press.txt").write_text("The press needs oil every 20 days. " + "It is blue. " * 10)
    commands.run("ingest", "--collection", "oil", "pump.txt", "press.txt")
    monkeypatch.chdir(commands.folder)
    for name, value in commands.environment.items():
        if name.startswith("RAG_"):
            monkeypatch.setenv(name, value)
    with Services(load_settings()) as services:
        backend = LocalBackend(services)
        picks = {pick.name: pick for pick in pick_passages(services.catalog, "oil", 0)}

        def is_miss(answer, **selection):
            draft = Draft("How often does the pump need oil?", answer, picks["pump.txt"])
            return is_near_miss(draft, backend, "oil", Selection(**selection))

        assert is_miss("every 90 days")
        assert not is_miss("needs oil every")  # the press's, too
        assert not is_miss("every 90 days", documents=("pump.txt",))  # nothing is left to be mistaken for it
    line = json.loads(Draft("How often?", "90 days", picks["pump.txt"]).near_miss_line(4))
    assert line == {"id": "draft-4-near-miss", "question": "How often?", "without": "pump.txt", "answerable": False}


def test_a_sweep_says_what_pays(commands, run):
    _, said = run("questions.jsonl", "--sweep", "min_relevance=0,0.63", "--sweep", "max_passages=6", COLUMNS="200")
    assert "Collection default, 4 questions. As set: a search" in said
    assert "\nmin_relevance=0 max_passages=6: a search" in said
    assert "min_relevance=0.63" not in said  # that is set
    assert re.search(r"unanswerable questions refused \W+1\.000 \W+0\.000 .+cannot be told with 1 questions", said)
    _, said = run("questions.jsonl", "--sweep", "rerank_top_n=10")
    assert "does not pay: all questions fare alike" in said


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ([], InvalidRequest, "--draft"),
        (["questions.jsonl", "--sweep", "dense_weight=.3", "--json", "x.json"], InvalidRequest, "table and no more"),
        (["questions.jsonl", "--sweep", "chunk_tokens=100"], InvalidRequest, "needs a reindex"),
        (["questions.jsonl", "--draft", "x.jsonl"], InvalidRequest, "--draft"),
        (["none.jsonl"], InvalidRequest, "cannot be read"),
        (["bad.jsonl"], InvalidRequest, "Line 2 of bad.jsonl"),
        (["questions.jsonl", "--html", "nowhere/report.html"], InvalidRequest, "written"),
        (["questions.jsonl", "--html", "./questions.jsonl"], InvalidRequest, "holds the questions"),
        (["questions.jsonl", "--json", "link.jsonl"], InvalidRequest, "holds the questions"),
        (["questions.jsonl", "--json", "same", "--html", "same"], InvalidRequest, "both"),
        (["questions.jsonl", "--html", "bad.jsonl", "--baseline", "bad.jsonl"], InvalidRequest, "holds the baseline"),
        (["questions.jsonl", "--baseline", "questions.jsonl"], InvalidRequest, "no figures"),
        (["questions.jsonl", "--collection", "elsewhere"], NotFound, "elsewhere"),
        (["--draft", "x.jsonl", "--collection", "elsewhere"], NotFound, "elsewhere"),
    ],
)
def test_wrong_calls_say_what_is_wrong(commands, run, arguments, error, words):
    write(commands, "bad.jsonl", [{"question": "x"}, {"answer": "x"}])
    link = commands.folder / "link.jsonl"
    if not link.is_symlink():
        link.symlink_to("questions.jsonl")
    before = commands.folder.joinpath("questions.jsonl").read_bytes()
    with pytest.raises(error, match=words) as caught:
        run(*arguments)
    assert caught.value.hint
    assert commands.folder.joinpath("questions.jsonl").read_bytes() == before


def test_names_with_brackets_and_another_baseline_are_told(commands, run):
    commands.run("ingest", "--collection", "a[/b]", "fox.txt")
    write(commands, "one.jsonl", [QUESTIONS[1]])
    run("one.jsonl", "--json", "one.json")
    _, said = run("one.jsonl", "--collection", "a[/b]", "--json", "brackets.json", "--baseline", "one.json")
    assert "Collection a[/b], 1 questions" in said
    assert "note    The baseline asked another collection: default." in said
    _, said = run("questions.jsonl", "--collection", "a[/b]", "--baseline", "brackets.json")
    assert "note    The baseline asked 1 questions, this run 4." in said


def test_the_gate_sees_the_hits_of_the_answer(commands, monkeypatch):
    for number in range(6):
        (commands.folder / f"pump{number}.txt").write_text(f"Pump {number} needs oil every {number + 20} days.")
    commands.run("ingest", "--collection", "pumps", *(f"pump{number}.txt" for number in range(6)))
    monkeypatch.chdir(commands.folder)
    for name, value in {**commands.environment, "RAG_RETRIEVAL__MAX_PASSAGES": "1"}.items():
        if name.startswith("RAG_"):
            monkeypatch.setenv(name, value)
    questions = [Question(1, "a", "Which pump?")]
    with Services(load_settings()) as services:
        backend = LocalBackend(services)
        (outcome,) = EvaluationRun(backend, services.catalog, "pumps", 0.1, with_answers=True).outcomes(questions)
    assert len(outcome.found) == 5
    assert outcome.relevance > 0.1


def test_an_empty_storage_folder_stays_away(commands, run, tmp_path):
    with pytest.raises(NotFound, match="no documents"):
        run("questions.jsonl", RAG_STORAGE__DIR=str(tmp_path / "nothing"))
    assert list(tmp_path.iterdir()) == []
