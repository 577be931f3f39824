"""The chat's languages: each has every text, and the code uses none that is not there."""

import re
from pathlib import Path
from string import Formatter
from typing import get_args

import pytest

from rag.answering.verification.claims import check_claims
from rag.types.documents import MessageKind, Passage
from rag.ui import translations as module
from rag.ui.chainlit_files import NAMES
from rag.ui.translations import FOLDER, LANGUAGES, translations_in

ENGLISH = translations_in("en")
UI = Path(module.__file__).parent
OTHERS = [language for language in LANGUAGES if language != "en"]


# a verdict's name, those of buttons, and of kinds of messages
USED_BY_NAME = {"supported", *NAMES.values(), *(f"kind_{kind}" for kind in get_args(MessageKind))}


def fields(text):
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("language", OTHERS)
def test_every_language_has_every_text_with_the_same_values(language):
    other = translations_in(language).sections
    assert other.keys() == ENGLISH.sections.keys()
    for name, section in ENGLISH.sections.items():
        assert list(other[name]) == list(section), name
        for key, text in section.items():
            assert fields(other[name][key]) == fields(text), key
            assert bool(other[name][key].strip()) == bool(text.strip()), key


@pytest.mark.parametrize("language", OTHERS)
def test_hardly_a_text_is_the_same_in_two_languages(language):
    same = [
        text
        for name, section in ENGLISH.sections.items()
        for key, text in section.items()
        if text and translations_in(language).sections[name][key] == text
    ]
    assert set(same) <= {"Sources", "Source {number}", "page {label}", "Page {label}", "1 document",
                         "{count} documents", "{count} pages", "Top p", "Conversations", "Collection",
                         "Documents"}  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_its_help(language):
    assert (FOLDER / f"{language}.md").read_text(encoding="utf-8").startswith("# Footnote\n")


@pytest.mark.parametrize(
    ("tag", "language"),
    [("de-AT", "de"), ("DE", "de"), ("fr", "fr"), ("es-419", "es"), ("en-GB", "en"), ("it", "en"), ("", "en")],
)
def test_the_browsers_language(tag, language):
    assert translations_in(tag).language == language


def test_the_code_uses_only_texts_that_are_there_and_all_of_them():
    python = "".join(path.read_text(encoding="utf-8") for path in UI.rglob("*.py"))
    chat = UI / "public"
    found = [chat / "chat.js", chat / "footnotes.js", *chat.glob("elements/*.jsx")]
    scripts = "".join(path.read_text(encoding="utf-8") for path in found)
    in_python = re.compile(r"(?:translations|_translations\(\))\(\s*[\"'](\w+)")
    assert set(in_python.findall(python)) <= ENGLISH.sections["chat"].keys() | {"trace_", "mode_", "settings_", "kind_"}
    assert set(re.findall(r"\btext\(\"(\w+)\"", scripts)) <= ENGLISH.sections["page"].keys()
    for source, section in ((python, "chat"), (scripts, "page")):
        for name in ENGLISH.sections[section].keys() - USED_BY_NAME:
            stem = re.sub(r"^(trace|mode|settings)_|_(one|many)$", "", name)  # the rest is put to it
            assert re.search(rf"[\"']({name}|{stem})[\"']", source), f"nothing uses {name}"


def test_counted_things():
    german = translations_in("de")
    assert [german.counted("passages", count) for count in (0, 1, 2)] == ["0 Stellen", "1 Stelle", "2 Stellen"]


def test_what_the_engine_says_is_translated_by_its_form():
    german = translations_in("de")
    assert german.of_engine("the page says “eight” there, not “twelve”") == (
        "die Seite sagt dort „eight“, nicht „twelve“"
    )
    assert german.of_engine("the page says “eight”") == "die Seite sagt „eight“"
    assert german.of_engine("something new") == "something new"
    assert ENGLISH.of_engine("Step 2: What then?") == "Step 2: What then?"


def test_the_reasons_of_the_check_are_known():
    page = "The pump needs oil every 90 days. Gloves are not allowed near the saw. The warranty ends after two years."
    passage = Passage(1, "doc", "Manual", "manual.pdf", 0, "1", "", 0, len(page), page, 1.0)
    answer = (
        "The pump needs oil every 30 days [1]. Gloves are allowed near the saw [1]. Albert Smith wrote it [1]. "
        "The kitchen closes on Friday evenings [1]. Nobody knows about the third hall."
    )
    reasons = {claim.reason for claim in check_claims(answer, [passage]) if claim.reason}
    assert len(reasons) >= 4
    assert [reason for reason in reasons if translations_in("de").of_engine(reason) == reason] == []
