"""Expected evidence is found in the catalog by the names people give it, and again among hits and passages."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pypdf.constants
import pytest

from ingest.ingestor import Ingestor
from rag.answering.citations import citation
from rag.answering.context import collect_passages
from rag.evaluation.questions import Question
from rag.evaluation.relevance import EvidenceResolver, Target, holds_any, is_cited, is_in_context, normalised, rank
from rag.index.index import Index
from rag.settings import Settings
from tests.ingest.loaders.documents import make_pdf, rewrite_pdf
from tests.rag.answering.test_context import A0, A1, ALL, B, hits, page_text


def asked(**expected):
    return Question(1, "1", "?", **expected)


@pytest.fixture(scope="module")
def opened(tmp_path_factory, bag_of_words):
    """A library of one paper whose four pages are printed i, ii, 1, 2, and two notes of one name; file name → id."""
    folder = tmp_path_factory.mktemp("library")
    papers = folder / "papers"
    papers.joinpath("old").mkdir(parents=True)
    paper = make_pdf(papers / "paper.pdf", [[f"This is page number {number}."] for number in range(4)])

    def label(writer):
        writer.set_page_label(0, 1, style=pypdf.constants.PageLabelStyle.LOWERCASE_ROMAN)
        writer.set_page_label(2, 3, style=pypdf.constants.PageLabelStyle.DECIMAL)

    rewrite_pdf(paper, label)
    for place in ("note.txt", "old/note.txt"):
        (papers / place).write_text(f"A note in {place}.")
    settings = Settings(_env_file=None, storage={"dir": folder / "storage"}, embedding={"model": "bag-of-words"})
    with closing(Index(folder / "storage", bag_of_words)) as index, Ingestor(settings, index) as ingestor:
        list(ingestor.add_paths([papers], "default"))
        ids = {document.source.removeprefix(f"{papers}/"): document.id for document in index.catalog.documents()}
        yield EvidenceResolver(index.catalog, "default"), ids, papers


def test_documents_are_known_by_id_source_end_of_it_and_file_name(opened):
    library, ids, papers = opened
    for name in ("paper.pdf", str(papers / "paper.pdf"), ids["paper.pdf"], "papers/paper.pdf"):
        expected = library.expected(asked(documents=(name,)))
        assert expected.targets == (Target(documents=frozenset([ids["paper.pdf"]])),)
        assert expected.documents == expected.targets[0]
    both = library.expected(asked(documents=("note.txt",))).documents
    assert both.documents == {ids["note.txt"], ids["old/note.txt"]}
    assert library.expected(asked(documents=("old/note.txt",))).documents.documents == {ids["old/note.txt"]}


def test_what_is_left_out_is_named_by_its_source(opened):
    library, _, papers = opened
    assert sorted(library.sources(["note.txt"])) == [str(papers / "note.txt"), str(papers / "old/note.txt")]
    assert library.sources([]) == []
    assert library.expected(asked(without=("paper.pdf", "papr.pdf"), is_answerable=False)).unknown == ("papr.pdf",)


def test_a_printed_label_goes_before_a_number_counted_from_1(opened):
    library, ids, _ = opened
    for name, index in (("ii", 1), ("1", 2), ("2", 3), ("3", 2), ("4", 3)):
        (target,) = library.expected(asked(documents=("paper.pdf",), pages=(name,))).pages
        assert target.pages == {(ids["paper.pdf"], index)}, name


def test_what_is_not_there_is_named_and_never_found(opened):
    library, _, _ = opened
    expected = library.expected(asked(documents=("paper.pdf", "papr.pdf"), pages=("5", "1")))
    assert expected.unknown == ("papr.pdf", "page 5 of paper.pdf")
    assert [target.pages for target in expected.pages] == [frozenset(), frozenset()]
    assert library.expected(asked(documents=("note.txt",), pages=("1",))).unknown == ("page 1 of note.txt",)
    assert rank(expected.targets[0], hits(*ALL)) is None


def test_the_most_precise_evidence_counts(opened):
    library, ids, _ = opened
    paper = frozenset([ids["paper.pdf"]])
    place = {"documents": ("paper.pdf",), "pages": ("i", "1")}
    assert library.expected(asked(**place)).targets == library.expected(asked(**place)).pages
    assert [t.record_id for t in library.expected(asked(**place, record_ids=("7", "8"))).targets] == ["7", "8"]
    everything = library.expected(asked(**place, record_ids=("7",), texts=("Some  Text",)))
    assert everything.targets == (Target(documents=paper, text="some text"),)
    assert len(everything.pages) == 2
    assert library.expected(asked(**place, is_answerable=False)).targets == ()
    assert library.expected(asked(answers=("x",))).targets == ()


def test_rank_of_pages_documents_and_records():
    found = hits(A1[0], B[0], A0[0])
    assert rank(Target(pages=frozenset([("doc_a", 0)])), found) == 3
    assert rank(Target(pages=frozenset([("doc_b", 0)])), found) is None
    assert rank(Target(documents=frozenset(["doc_b"])), found) == 2
    assert rank(Target(documents=frozenset()), found) is None
    record = replace(found[2], chunk=replace(A0[0], record_id="r7"))
    assert rank(Target(record_id="r7"), [*found[:2], record]) == 3
    assert rank(Target(documents=frozenset(["doc_b"]), record_id="r7"), [*found[:2], record]) is None


def test_a_text_may_be_spread_over_neighbours_in_any_order():
    across = Target(text=normalised("second SENTENCE.\n Third sentence."))
    assert rank(across, hits(A0[2], B[0], A0[1])) == 3
    assert rank(across, hits(A0[2], A0[0])) is None
    assert rank(Target(text="first sentence. third sentence."), hits(A0[0], A0[2])) is None
    assert rank(Target(text=normalised("Third sentence. Fourth")), hits(B[0], A0[2], A0[3])) == 3
    assert rank(Target(documents=frozenset(["doc_b"]), text="first sentence."), hits(A0[0])) is None
    overlapping = replace(A0[1], start=A0[0].start, text="First sentence.  Second sentence.")
    assert rank(Target(text="first sentence. second sentence."), hits(A0[0], overlapping)) == 2


def test_what_is_in_the_context():
    found = hits(A0[0], A0[1], B[0])
    passages = collect_passages(found, page_text, 6)
    assert is_in_context(Target(text="sentence. second"), passages, found)
    assert is_in_context(Target(pages=frozenset([("doc_a", 0)])), passages, found)
    assert not is_in_context(Target(pages=frozenset([("doc_a", 1)])), passages, found)
    assert not is_in_context(Target(text="third sentence."), passages, found)
    record = [replace(found[1], chunk=replace(A0[1], record_id="r7"))]
    assert is_in_context(Target(record_id="r7"), passages, record)
    assert not is_in_context(Target(record_id="r7"), passages[1:], record)


def test_citations_of_expected_pages():
    passage = collect_passages(hits(A0[0]), page_text, 1)[0]
    cited = [citation(passage, 0, 5)]
    assert is_cited([Target(pages=frozenset([("doc_x", 0)])), Target(pages=frozenset([("doc_a", 0)]))], cited)
    assert not is_cited([Target(pages=frozenset([("doc_a", 1)]))], cited)


@pytest.mark.parametrize(
    ("text", "wanted", "held"),
    [
        ("It needs oil every\n90  days [1].", ["90 days."], True),
        ("An oﬃce on the ２nd floor", ["office on the 2nd"], True),
        ("90 weeks", ["90 days", "90 WEEKS"], True),
        ("90 weeks", ["90 days"], False),
    ],
)
def test_texts_are_compared_without_typography(text, wanted, held):
    assert holds_any(text, wanted) is held
