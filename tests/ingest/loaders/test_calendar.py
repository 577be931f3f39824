"""Calendars: events as people read them."""

from __future__ import annotations

from tests.ingest.loaders.documents import load, texts

EVENTS = r"""BEGIN:VCALENDAR
BEGIN:VTIMEZONE
DTSTART:19700101T000000
END:VTIMEZONE
BEGIN:VEVENT
UID:17@example.org
SUMMARY:Test of the
  sirens
DTSTART;TZID=Europe/Oslo:20270503T083000
DTEND:20270503T090000Z
LOCATION:Yard\, south gate
DESCRIPTION:Bring ear plugs.\nMeet at noon.
END:VEVENT
BEGIN:VTODO
SUMMARY:Oil the hinges
DUE;VALUE=DATE:20270601
END:VTODO
END:VCALENDAR
"""


def test_events_and_tasks_say_what_when_and_where(tmp_path):
    (tmp_path / "a.ics").write_text(EVENTS)

    document = load(tmp_path / "a.ics")

    assert document.title == "Test of the sirens"
    assert "".join(texts(document)) == (
        "Test of the sirens\nBegins: 3 May 2027, 08:30\nEnds: 3 May 2027, 09:00 UTC\nPlace: Yard, south gate\n"
        "Bring ear plugs.\nMeet at noon.\n\n"
        "Oil the hinges\nDue: 1 June 2027\n\n"
    )


def test_an_invitation_by_mail_is_read_so(tmp_path):
    head = "From: a@example.org\nSubject: Sirens\nContent-Type: text/calendar; charset=utf-8\n\n"
    (tmp_path / "a.eml").write_text(head + EVENTS)

    text = "".join(texts(load(tmp_path / "a.eml")))

    assert "Begins: 3 May 2027, 08:30" in text
    assert "BEGIN" not in text


def test_what_follows_an_alarm_and_what_parameters_quote_is_read_right(tmp_path):
    (tmp_path / "a.ics").write_text(
        'BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY;ALTREP="http://example.org":Board\nBEGIN:VALARM\nDESCRIPTION:Ring\n'
        "END:VALARM\nLOCATION:Room 7\nEND:VEVENT\nEND:VEVENT\nSUMMARY:Not an event\n"
    )

    assert texts(load(tmp_path / "a.ics")) == ["Board\nPlace: Room 7\n\n"]
