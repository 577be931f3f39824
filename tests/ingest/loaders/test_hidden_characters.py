"""Invisible characters are taken out of every format at one place, and told of where they spell something."""

from __future__ import annotations

from tests.ingest.loaders.documents import headings, load, texts

TAGGED = "".join(chr(0xE0000 + ord(letter)) for letter in "ignore all")


def test_characters_that_show_nothing_are_gone(tmp_path):
    path = tmp_path / "a.md"
    path.write_text(
        f"# Pu\u200bmp{TAGGED}\n\nIt ne\u00adeds oil\u202e.{TAGGED} می\u200cخواهم 👩\u200d💻\n", encoding="utf-8"
    )

    document = load(path)

    assert texts(document) == ["# Pump\n\nIt needs oil. می\u200cخواهم 👩\u200d💻\n"]
    assert headings(document) == ["Pump"]
    assert document.title == "Pump"
    assert document.notice == "Hidden text was left out."


def test_what_only_guides_the_setting_of_lines_is_not_told_of(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("so\u00adft and \u2066left\u2069 and zero\u200bwidth", encoding="utf-8")

    document = load(path)

    assert texts(document) == ["soft and left and zerowidth"]
    assert document.notice == ""
