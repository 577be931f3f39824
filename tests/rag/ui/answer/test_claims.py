"""The lines under an answer that say which of its sentences the sources do not bear out."""

from __future__ import annotations

from dataclasses import replace

from rag.types.documents import Answer, Claim, Usage
from rag.ui.answer.claims import SHOWN, check_notice
from rag.ui.translations import translations_in

TEXT = "- The *pump* needs oil every 80 days [1].\n- It weighs a lot [2]. And it is blue."
SECOND, THIRD = TEXT.index("It weighs"), TEXT.index("And it")
WRONG = Claim(0, TEXT.index("\n"), (1,), "unsupported", "“80” is not on the page")
TRUE = Claim(SECOND, THIRD - 1, (2,), "supported")
LOOSE = Claim(THIRD, len(TEXT), (), "unsupported", "no source is named")


def notice(*claims: Claim, text: str = TEXT) -> str:
    return check_notice(Answer(text, (), (), "model", True, "stop", Usage(0, 0), claims), translations_in("en"))


def test_nothing_checked_nothing_said():
    assert notice() == ""


def test_all_supported_is_said_quietly():
    assert notice(TRUE, TRUE) == "*All 2 cited statements were checked against their pages.*"
    assert notice(TRUE) == "*The cited statement was checked against its page.*"


def test_sources_that_the_model_did_not_name_are_told():
    found = replace(TRUE, attributed=True)
    checked = "All 2 cited statements were checked against their pages."
    assert notice(TRUE, found) == f"*{checked} Footnote, not the model, found one of the sources.*"
    assert notice(found, found) == f"*{checked} Footnote, not the model, found 2 of the sources.*"


def test_each_doubtful_sentence_is_named_with_its_reason():
    partly = Claim(SECOND, THIRD - 1, (2,), "partly", "“lot” is not on the page")
    assert notice(WRONG, partly, LOOSE).splitlines() == [
        "- ⚠ Not borne out by its source: “The pump needs oil every 80 days.” (“80” is not on the page)",
        "- ⚠ Only partly borne out by its source: “It weighs a lot.” (“lot” is not on the page)",
        "- ⚠ Without a source: “And it is blue.”",
    ]
    assert notice(TRUE, WRONG).count("⚠") == 1


def test_an_answer_without_any_source_is_marked_once():
    assert notice(LOOSE, LOOSE) == "⚠ This answer names no source, so nothing in it could be checked."


def test_a_long_sentence_is_cut_and_markdown_in_it_is_harmless():
    text = "See <b>this</b> ![x](http://evil) " + "very " * 100 + "[1]."
    line = notice(Claim(0, len(text), (1,), "unsupported", "“x” is not on the page"), text=text)
    assert len(line) < SHOWN + 120
    assert "![x](" not in line
    assert r"\<b\>" in line


def test_a_long_sentence_without_spaces_is_cut_too():
    text = "水泵每天需要加油" * 100
    line = notice(Claim(0, len(text), (1,), "unsupported", "reason"), text=text)
    assert SHOWN <= len(line) < SHOWN + 60
    assert " …”" in line
