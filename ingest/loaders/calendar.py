"""Calendars (ics) and invitations by mail, as lines that people read: what, when, where."""

from __future__ import annotations

import re
from pathlib import Path

from ingest.loaders.base import Extracted, Limits, Section, sensible_title, squeeze
from ingest.loaders.encoding import decode

_LINE = re.compile(r'([A-Z-]+)(?:;(?:[^":]|"[^"]*"){0,500})?:(.*)')
_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)\d\d(Z?))?")
_MONTHS = [
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
]
_ENTRIES = ("VEVENT", "VTODO", "VJOURNAL")
_NAMES = {"DTSTART": "Begins", "DTEND": "Ends", "DUE": "Due", "LOCATION": "Place", "DESCRIPTION": "", "SUMMARY": ""}


def load_calendar(path: Path, name: str, limits: Limits) -> Extracted:
    """One section for each event or task. Raises UnreadableDocument when not text."""
    text, notice = decode(path.read_bytes(), name)
    events = list(limits.bounded(_events(text), name, len))
    title = sensible_title(events[0].partition("\n")[0]) if events else ""
    return Extracted(title, [Section(event + "\n\n") for event in events], notice)


def calendar_text(text: str) -> str:
    """The events and tasks of a calendar; the text as it is when there are none."""
    return "\n\n".join(_events(text)) or text


def _events(text: str) -> list[str]:
    unfolded = re.sub(r"\n[ \t]", "", text.replace("\r\n", "\n"))
    events: list[list[str]] = []
    around: list[str] = []  # innermost last
    for line in unfolded.split("\n"):
        name, value = found.groups() if (found := _LINE.fullmatch(line.strip())) else ("", "")
        if name == "BEGIN":
            around.append(value)
            if value in _ENTRIES:
                events.append([])
        elif name == "END":
            del around[-1:]
        elif name in _NAMES and around and around[-1] in _ENTRIES:
            label = f"{_NAMES[name]}: " if _NAMES[name] else ""
            events[-1] += [label + words] if (words := _words(value)) else []
    return ["\n".join(lines) for lines in events if lines]


def _words(value: str) -> str:
    if time := _TIME.fullmatch(value):
        year, month, day, hour, minute, universal = time.groups()
        if not 1 <= int(month) <= len(_MONTHS):
            return value
        clock = f", {hour}:{minute}{' UTC' if universal else ''}" if hour else ""
        return f"{int(day)} {_MONTHS[int(month) - 1]} {year}{clock}"
    lines = re.sub(r"\\[nN]", "\n", value).split("\n")
    return "\n".join(filter(None, (squeeze(re.sub(r"\\(.)", r"\1", line)) for line in lines)))
