"""Text and Markdown: the file as it is, headings found, encodings recognised."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.loaders import Limits
from ingest.loaders.encoding import decode
from ingest.loaders.markdown import load_markdown
from rag.errors import UnreadableDocument
from tests.ingest.loaders.documents import headings, load, texts

MARKDOWN = """Intro with *stars*.

# The **kiln** [manual](https://example.org)

    # indented code

```sh
# a comment, no heading
```

Setext heading
--------------
text
> # quoted, no section

#### Deep
last"""


def test_markdown_sections_begin_at_headings_and_tile_the_file(tmp_path):
    (tmp_path / "a.md").write_bytes(MARKDOWN.replace("\n", "\r\n").encode())

    document = load(tmp_path / "a.md")

    assert "".join(texts(document)) == MARKDOWN
    assert headings(document) == [
        "",
        "The kiln manual",
        "The kiln manual › Setext heading",
        "The kiln manual › Setext heading › Deep",
    ]
    assert document.title == "The kiln manual"
    assert texts(document)[3] == "#### Deep\nlast"


def test_front_matter_is_no_heading_and_gives_the_title(tmp_path):
    text = '---\ndate: 2024\ntitle: "Release notes"\n---\n# Other\nbody\n'
    (tmp_path / "a.markdown").write_text(text)

    document = load(tmp_path / "a.markdown")

    assert document.title == "Release notes"
    assert texts(document) == ['---\ndate: 2024\ntitle: "Release notes"\n---\n', "# Other\nbody\n"]


@given(text=st.text(alphabet="#ab \t\n\r-=`>\f\u2028\x0b\x85*[]", max_size=80))
def test_markdown_always_tiles(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.md"
    path.write_bytes(text.encode())
    try:
        sections = load_markdown(path, "any.md", Limits()).sections
    except UnreadableDocument:
        return
    assert "".join(section.text for section in sections) == text.replace("\r\n", "\n").replace("\r", "\n")


COMMENTED = """<!-- one -->
# Use <!-- two --> of the kiln

Text<!-- three
four --> goes on.<!---->

> quoted <!-- five -->

<!--
# No heading

six
-->
<div><!-- seven -->
"""


def test_comments_of_markdown_are_no_text(tmp_path):
    (tmp_path / "a.md").write_text(COMMENTED)

    document = load(tmp_path / "a.md")

    assert " ".join("".join(texts(document)).split()) == "# Use of the kiln Text goes on. > quoted <div>"
    assert headings(document) == ["", "Use of the kiln"]
    assert document.notice == ""


NO_COMMENTS = """---
title: "<!-- a title -->"
---
`<!-- code -->` and ``<!-- ` -->``, \\<!-- escaped -->

    <!-- indented -->

```html
<!-- fenced -->
```

Not <!-- closed in

its --> paragraph. Never <!-- closed.
"""


def test_what_looks_like_a_comment_and_is_shown_stays(tmp_path):
    (tmp_path / "a.md").write_text(NO_COMMENTS)

    assert "".join(texts(load(tmp_path / "a.md"))) == NO_COMMENTS


def test_many_open_comments_take_no_time(tmp_path):
    (tmp_path / "a.md").write_text("--> " + "<!-- a " * 100_000)

    assert len("".join(texts(load(tmp_path / "a.md")))) == 700_004


def test_text_is_one_section_equal_to_the_file(tmp_path):
    (tmp_path / "a.log").write_bytes(b"\xef\xbb\xbfone\r\ntwo\0\n# three\n")

    document = load(tmp_path / "a.log")

    assert texts(document) == ["one\ntwo\n# three\n"]
    assert (document.title, document.notice, headings(document)) == ("a", "", [""])


TEXTS = {
    "cp1252": "Die schöne Straße kostet 15 €. L’été était très chaud, où ça ? Le garçon a mangé.",
    "cp1251": "Привет, мир. Это проверка кодировки текста на русском языке.",
    "cp1250": "Příliš žluťoučký kůň úpěl ďábelské ódy. Děkuji všem za pozornost.",
    "shift_jis": "これは日本語のテストです。文字コードを確認します。",
    "gb18030": "这是一个测试文件，用来检查编码。",
}


@pytest.mark.parametrize("encoding", TEXTS)
def test_encodings_are_guessed_and_the_guess_is_told(encoding):
    text, notice = decode((TEXTS[encoding] * 3).encode(encoding), "a.txt")

    assert text == TEXTS[encoding] * 3
    assert "guessed" in notice


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be", "utf-32-be"])
def test_unicode_in_every_dress(encoding):
    assert decode("Größe: 5 kg\r\nKiln 😀\n".encode(encoding), "a.txt")[0] == "Größe: 5 kg\nKiln 😀\n"


def test_damaged_utf8_stays_utf8_and_the_damage_is_counted():
    data = "Größe und Qualität. ".encode() * 20 + b"\xc3 end \xff"

    text, notice = decode(data, "a.txt")

    assert text.startswith("Größe und Qualität.")
    assert notice == "2 characters could not be decoded and were replaced."


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, b"PK\x03\x04" + bytes(500)])
def test_binary_files_are_no_text(tmp_path, data):
    (tmp_path / "a.txt").write_bytes(data)

    with pytest.raises(UnreadableDocument, match="is not a text file"):
        load(tmp_path / "a.txt")
