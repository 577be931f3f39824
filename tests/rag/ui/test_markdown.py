"""Marks as links, and back."""

import re

import pytest
from markdown_it import MarkdownIt

from rag.ui.markdown import linked, unlinked, without_unknown_links


def test_marks_become_links_where_there_is_a_footnote_and_back():
    answer = "Day four [1][2], not `x[1]`, nor [3].\n\n```\n[1]\n```\n"
    shown = linked(answer, {1, 2})
    assert shown.startswith("Day four\u202f" + r"[\[1\]](#footnote-1)[\[2\]](#footnote-2), not `x[1]`, nor [3].")
    assert shown.endswith("```\n[1]\n```\n")
    assert unlinked(shown) == answer
    assert unlinked("[1](#footnote-1)") == "[1](#footnote-1)"


@pytest.mark.parametrize("answer", ["工资每月26日支付[1]。", "- [1] says so", "Two  [1]\n[2]"])
def test_marks_without_one_space_before_them_come_back_too(answer):
    assert unlinked(linked(answer, {1, 2})) == answer


KNOWN = "Ask for leave at https://intranet.example/leave today, or see /rooms."


@pytest.mark.parametrize(
    "answer",
    [
        "See [the portal](https://evil.example/?q=secret).",
        "See https://evil.example/?q=secret.",
        "See www.evil.example, please.",
        "See [it](javascript:alert) or [it](//evil.example) or [it](</library>).",
        r"A [form](https\://evil.example/?q=secret)",
        "A [form](&#104;ttps://evil.example)",
        "A [a [b] c](ftp://evil.example) and <ftp://evil.example>",
        "A [form][1]\n\n[1]: https://evil.example",
        "A [form](\nhttps://evil.example)",
        "[![an image](https://evil.example/a.png)](https://evil.example)",
    ],
)
def test_links_that_no_source_has_lead_nowhere(answer):
    """As markdown-it renders them, which the page's renderer agrees with in this."""
    written = without_unknown_links(answer, KNOWN)
    shown = MarkdownIt().render(written)
    assert "href" not in shown
    assert "<img" not in shown
    assert not re.search(
        r"\w://evil|www\.evil", re.sub("`[^`]*`", "", written)
    )  # which would become links by themselves


@pytest.mark.parametrize(
    "answer",
    [
        "See [the portal](https://intranet.example/leave).",
        "See [the portal](<https://intranet.example/leave>) and [the rooms](/rooms).",
        "See https://intranet.example/leave.",
        "`https://evil.example` [1] (2) [3](4",
    ],
)
def test_links_of_sources_and_code_stay(answer):
    known = f"{KNOWN} 4"
    assert without_unknown_links(answer, known) == answer
