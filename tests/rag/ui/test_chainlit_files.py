"""The folder that Chainlit runs from."""

import json

import pytest

from rag.ui.chainlit_files import write_chainlit_files
from rag.ui.translations import LANGUAGES, translations_in


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chat")
    banners = {language: f"`{language}` <b>" for language in LANGUAGES}
    write_chainlit_files(folder, banners=banners, suffixes=[".md"], max_upload_mb=1, is_open=True)
    return folder


def flat(texts, path=""):
    for name, text in texts.items():
        if isinstance(text, dict):
            yield from flat(text, f"{path}{name}.")
        else:
            yield f"{path}{name}", text


def translation(folder, language):
    return dict(flat(json.loads((folder / ".chainlit" / "translations" / f"{language}.json").read_text("utf-8"))))


@pytest.mark.parametrize("language", LANGUAGES)
def test_chainlits_page_has_every_text_in_every_language(folder, language):
    found, english = translation(folder, language), translation(folder, "en-US")
    assert found.keys() == english.keys(), "and none of ours is for a text that Chainlit does not have"
    for path, text in translations_in(language).sections["chainlit"].items():
        assert found[path] == text
    assert (folder / f"chainlit_{language}.md").is_file()


def test_german_is_german_where_chainlit_has_it(folder):
    german = translation(folder, "de")
    assert german["common.actions.cancel"] == "Abbrechen"
    assert german["components.DatePickerInput.placeholder.single"] == "Pick a date"


def test_the_page_knows_its_texts_and_has_the_banner_in_every_language(folder):
    page = (folder / "build" / "index.html").read_text("utf-8")
    assert '<span lang="de"><code>de</code> &lt;b&gt;</span>' in page
    script = (folder / "public" / "chat.js").read_text("utf-8")
    line = script.partition("\n")[0].removeprefix("window.footnoteTexts = ").removesuffix(";")
    assert json.loads(line)["fr"]["next_page"] == "Page suivante"
    assert "window.footnoteIsOpen = true;" in script
