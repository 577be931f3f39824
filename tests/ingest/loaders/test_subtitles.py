"""Subtitles: what is said, under the minute in which it is said."""

from __future__ import annotations

import pytest

from rag.errors import UnreadableDocument
from tests.ingest.loaders.documents import headings, load, texts


def test_each_minute_of_an_srt_is_a_section(tmp_path):
    cues = "1\n00:00:58,000 --> 00:00:59,500\n<i>Mind</i> the\nkiln!\n\n2\n00:01:02,000 --> 00:01:03,000\nIt is hot.\n"
    (tmp_path / "film.srt").write_bytes(cues.replace("\n", "\r\n").encode())
    document = load(tmp_path / "film.srt")
    assert headings(document) == ["00:00", "00:01"]
    assert texts(document) == ["Mind the kiln!\n\n", "It is hot.\n\n"]


def test_a_vtt_names_who_speaks_and_leaves_out_its_notes(tmp_path):
    cues = (
        "WEBVTT\n\nNOTE made by hand\n\nintro\n00:58.000 --> 00:59.500 align:left\n<v Ida>Mind the kiln!</v>\n\n"
        "01:02.000 --> 01:03.000\n- It is <c.loud>hot</c>.\n- Yes.\n"
    )
    (tmp_path / "film.vtt").write_text(cues)
    document = load(tmp_path / "film.vtt")
    assert headings(document) == ["00", "01"]
    assert texts(document) == ["Ida: Mind the kiln!\n\n", "- It is hot. - Yes.\n\n"]


def test_other_text_is_refused(tmp_path):
    (tmp_path / "notes.srt").write_text("Buy a kiln.")
    with pytest.raises(UnreadableDocument, match="no subtitles"):
        load(tmp_path / "notes.srt")
