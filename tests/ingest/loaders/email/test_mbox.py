"""Mailboxes: each message a section that a citation can name, however the mailbox was written."""

from __future__ import annotations

import mailbox
from email.message import EmailMessage

import pytest

from rag.errors import UnreadableDocument
from tests.ingest.loaders.documents import headings, load, texts


def test_each_message_is_named_and_has_its_id(tmp_path):
    box = mailbox.mbox(tmp_path / "box.mbox")
    for number in (1, 2):
        message = EmailMessage()
        message["From"] = "Ana Li <ana@example.org>"
        message["Subject"] = f"Kiln {number}"
        message["Date"] = "Mon, 3 Feb 2025 23:00:00 +0100"
        message["Message-ID"] = f"<{number}@example.org>"
        message.set_content("Dear Bo,\n\nFrom now on the kiln is hot.\n")
        message.add_attachment("A list.", filename="list.txt")
        box.add(message)
    box.close()

    document = load(tmp_path / "box.mbox")

    assert headings(document)[:2] == [
        "Kiln 1 — Ana Li, 2025-02-03",
        "Kiln 1 — Ana Li, 2025-02-03 › Attachment › list.txt",
    ]
    assert [section.record_id for section in document.sections] == ["<1@example.org>"] * 2 + ["<2@example.org>"] * 2
    assert "\n\nFrom now on the kiln is hot.\n\n" in texts(document)[2]
    assert document.title == "box"


def test_lines_that_only_look_like_separators_divide_nothing(tmp_path):
    (tmp_path / "a.mbox").write_bytes(
        b"\nFrom 123@xxx Mon Jul 14 12:00:00 +0000 2014\r\nSubject: One\r\n\r\n"
        b"Dear all,\r\n\r\nFrom Monday to Friday we fire at 10:00.\r\n\r\nFrom here it is far.\r\n>From quoted\r\n\r\n"
        b"From - Tue Jul 15 09:00:00 2014\r\nSubject: Two\r\n\r\nbye\r\n"
    )

    document = load(tmp_path / "a.mbox")

    assert headings(document) == ["One", "Two"]
    assert "From Monday to Friday we fire at 10:00.\n\nFrom here it is far.\nFrom quoted" in texts(document)[0]
    assert [section.record_id for section in document.sections] == ["1", "2"]


def test_a_broken_message_costs_only_itself(tmp_path):
    date = b"Mon Jul 14 12:00:00 2014\n"
    (tmp_path / "a.mbox").write_bytes(
        b"From a "
        + date
        + b"Subject: One\n\nfirst\n\nFrom b "
        + date
        + b"X-Odd: yes\n\nno\n\nFrom c "
        + date
        + b"Subject: Two\n\nlast\n"
    )

    document = load(tmp_path / "a.mbox")

    assert headings(document) == ["One", "Two"]
    assert document.notice == "1 messages could not be read: number 2."


def test_what_is_no_mailbox_is_refused(tmp_path):
    (tmp_path / "a.mbox").write_bytes(b"Subject: a mail\n\nand no mailbox\n")

    with pytest.raises(UnreadableDocument, match="not a mailbox"):
        load(tmp_path / "a.mbox")
