"""The line under an answer that says how far its sources bear it out, and the sentences it opens on."""

from __future__ import annotations

from dataclasses import replace

from rag.types.documents import Answer, Claim, Usage
from rag.ui.answer.claims import SHOWN, Check, check_of
from rag.ui.translations import translations_in

TEXT = "- The *pump* needs oil every 80 days [1].\n- It weighs a lot [2]. And it is blue."
SECOND, THIRD = TEXT.index("It weighs"), TEXT.index("And it")
WRONG = Claim(0, TEXT.index("\n"), (1,), "unsupported", "“80” is not on the page")
TRUE = Claim(SECOND, THIRD - 1, (2,), "supported")
LOOSE = Claim(THIRD, len(TEXT), (), "unsupported", "no source is named")


def check(*claims: Claim, text: str = TEXT) -> Check | None:
    return check_of(Answer(text, (), (), "model", True, "stop", Usage(0, 0), claims), translations_in("en"))


def test_nothing_checked_nothing_said():
    assert check() is None


def test_all_supported_is_said_quietly():
    assert check(TRUE, TRUE) == Check("All 2 cited statements were checked against their pages.", is_doubtful=False)
    assert check(TRUE) == Check("The cited statement was checked against its page.", is_doubtful=False)


def test_sources_that_the_model_did_not_name_are_told():
    found = replace(TRUE, attributed=True)
    checked = "All 2 cited statements were checked against their pages."
    assert check(TRUE, found).summary == f"{checked} Footnote, not the model, found one of the sources."
    assert check(found, found).summary == f"{checked} Footnote, not the model, found 2 of the sources."


def test_each_doubtful_sentence_is_named_with_its_reason():
    partly = Claim(SECOND, THIRD - 1, (2,), "partly", "“lot” is not on the page")
    assert check(WRONG, partly, LOOSE, TRUE) == Check(
        "3 of 4 statements not confirmed",
        is_doubtful=True,
        sentences=(
            "Not borne out by its source: “The pump needs oil every 80 days.” (“80” is not on the page)",
            "Only partly borne out by its source: “It weighs a lot.” (“lot” is not on the page)",
            "Without a source: “And it is blue.”",
        ),
    )


def test_an_answer_without_any_source_is_marked_once():
    expected = "This answer names no source, so nothing in it could be checked."
    assert check(LOOSE, LOOSE) == Check(expected, is_doubtful=True)


def test_a_long_sentence_is_cut():
    text = "See <b>this</b> " + "very " * 100 + "[1]."
    (line,) = check(Claim(0, len(text), (1,), "unsupported", "“x” is not on the page"), text=text).sentences
    assert len(line) < SHOWN + 120
    assert "<b>" in line, "it is shown as text"


def test_a_long_sentence_without_spaces_is_cut_too():
    text = "水泵每天需要加油" * 100
    (line,) = check(Claim(0, len(text), (1,), "unsupported", "reason"), text=text).sentences
    assert SHOWN <= len(line) < SHOWN + 60
    assert " …”" in line
