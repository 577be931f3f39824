"""Where an answer looked."""

from rag.types.documents import Chunk, Hit, Passage
from rag.ui.answer.search_trace import search_trace
from rag.ui.translations import translations_in

ENGLISH = translations_in("en")


def hit(number, start, **legs):
    chunk = Chunk(f"doc:1:{number}", "doc", number, 3, "iv", "Manual › Care", None, start, start + 50, "Text.")
    return Hit(chunk, "The | manual", "manual.pdf", 0.5, (0, 5), **legs)


def passage(number, start, end):
    return Passage(number, "doc", "The | manual", "manual.pdf", 3, "iv", "Manual › Care", start, end, "Text.", 0.5)


def test_each_hit_with_both_ranks_and_the_passage_that_holds_it():
    hits = [hit(0, 0, dense_rank=2, dense_score=0.431, lexical_rank=1, lexical_score=7.5), hit(1, 500, lexical_rank=4)]
    *_, head, _, first, second, _, legend = search_trace("What *now*?", hits, [passage(1, 0, 80)], ENGLISH).split("\n")
    assert head == "| Read | Place | By meaning | By words | Together |"
    assert (
        first
        == r"| 1 | [**The \| manual**](/view/doc?page=4&start=0&end=50) · Care · page iv | 2 (0.43) | 1 (7.50) | 0.50 |"
    )
    assert second == r"| – | [**The \| manual**](/view/doc?page=4&start=500&end=550) · page iv | – | 4 | 0.50 |"
    assert legend == ENGLISH("trace_legend")


def test_the_question_is_told_where_it_is_another_one():
    assert r"Looked for: “What \*now\*?”" in search_trace("What *now*?", [hit(0, 0)], [], ENGLISH)
    assert "Looked for" not in search_trace("", [hit(0, 0)], [], ENGLISH)


def test_without_a_search_there_is_nothing_to_tell():
    assert search_trace("", [], [], ENGLISH) == ""
