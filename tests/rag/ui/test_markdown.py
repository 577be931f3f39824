"""Marks as links, and back."""

import pytest

from rag.ui.markdown import marked, unmarked, without_unknown_links


def test_marks_become_links_where_there_is_a_footnote_and_back():
    answer = "Day four [1][2], not `x[1]`, nor [3].\n\n```\n[1]\n```\n"
    linked = marked(answer, {1, 2})
    assert linked.startswith(r"Day four [\[1\]](#footnote-1)[\[2\]](#footnote-2), not `x[1]`, nor [3].")
    assert linked.endswith("```\n[1]\n```\n")
    assert unmarked(linked) == answer
    assert unmarked("[1](#footnote-1)") == "[1](#footnote-1)"


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ("See [the portal](https://evil.example/?q=secret).", "See the portal (`https://evil.example/?q=secret`)."),
        ("See https://evil.example/?q=secret.", "See `https://evil.example/?q=secret`."),
        ("See www.evil.example, please.", "See `www.evil.example`, please."),
        (
            "See [it](javascript:alert) or [it](//evil.example).",
            "See it (`javascript:alert`) or it (`//evil.example`).",
        ),
        ("See [the portal](https://intranet.example/leave).", "See [the portal](https://intranet.example/leave)."),
        ("See https://intranet.example/leave.", "See https://intranet.example/leave."),
        ("`https://evil.example` [1] (2)", "`https://evil.example` [1] (2)"),
    ],
)
def test_links_that_no_source_has_lead_nowhere(answer, shown):
    assert without_unknown_links(answer, "Ask for leave at https://intranet.example/leave today.") == shown
