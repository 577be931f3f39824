"""Marks as links, and back."""

from rag.ui.markdown import marked, unmarked


def test_marks_become_links_where_there_is_a_footnote_and_back():
    answer = "Day four [1][2], not `x[1]`, nor [3].\n\n```\n[1]\n```\n"
    linked = marked(answer, {1, 2})
    assert linked.startswith(r"Day four [\[1\]](#footnote-1)[\[2\]](#footnote-2), not `x[1]`, nor [3].")
    assert linked.endswith("```\n[1]\n```\n")
    assert unmarked(linked) == answer
    assert unmarked("[1](#footnote-1)") == "[1](#footnote-1)"
