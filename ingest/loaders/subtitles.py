"""Subtitles (srt, vtt): what is said, a section a minute, named by its time."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

from ingest.loaders.base import Extracted, Limits, Section, squeeze, unreadable
from ingest.loaders.encoding import decode

# The minute, without the hours where these are none, and what is said until the next blank line.
_CUE = re.compile(r"^[ \t]*((?:\d{1,3}:)?\d{1,3}):\d\d[,.]\d+[ \t]+-->[^\n]*\n((?:[^\n]*\S[^\n]*\n?)*)", re.MULTILINE)
_MARKUP = re.compile(r"</?[bciuv](?:[ .][^<>\n]{0,100})?>|</?font[^<>\n]{0,100}>|\{\\[^{}\n]{0,20}\}", re.IGNORECASE)
_SPEAKER = re.compile(r"<v(?:\.[\w.]{1,50})? ([^<>\n]{1,100})>")  # vtt


def load_subtitles(path: Path, name: str, limits: Limits) -> Extracted:
    """One section per minute. Raises UnreadableDocument when it is not text, or holds no subtitles."""
    text, notice = decode(path.read_bytes(), name)
    cues = _CUE.findall(text.replace("\r\n", "\n"))
    if text.strip() and not cues:
        raise unreadable(name, "holds no subtitles.", "Save it in the format SubRip (srt) or WebVTT (vtt).")
    sections = [
        Section("\n".join(_spoken(words) for _, words in spoken) + "\n\n", heading=minute)
        for minute, spoken in groupby(cues, key=lambda cue: cue[0])
    ]
    return Extracted(title="", sections=sections, notice=notice)


def _spoken(words: str) -> str:
    """What is said, on one line, after who says it."""
    return squeeze(_MARKUP.sub("", _SPEAKER.sub(r"\1: ", words)))
