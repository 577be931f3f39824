"""E-mails: who, when, what; every encoding; attachments read, named, or told about."""

from __future__ import annotations

import time
from email.message import EmailMessage

import docx
import pytest

from ingest.loaders import Limits
from rag.errors import EmptyDocument, UnreadableDocument
from tests.ingest.loaders.documents import headings, load, make_pdf, texts


def letter(**headers):
    message = EmailMessage()
    for name, value in ({"From": "Ana Li <ana@example.org>", "Subject": "The kiln"} | headers).items():
        message[name] = value
    return message


def load_mail(tmp_path, message, name="a.eml", limits=None):
    path = tmp_path / name
    path.write_bytes(message if isinstance(message, bytes) else message.as_bytes())
    return load(path, limits=limits)


def test_the_text_says_who_wrote_to_whom_and_when(tmp_path):
    message = letter(To="bo@example.org", Cc="Cy <cy@example.org>", Date="Mon, 03 Feb 2025 10:00:00 +0100")
    message.set_content("It is hot.\n\n> Is it hot?\n")

    document = load_mail(tmp_path, message)

    assert document.title == "The kiln"
    head = "From: Ana Li <ana@example.org>\nTo: bo@example.org\nCc: Cy <cy@example.org>\n"
    head += "Date: Mon, 03 Feb 2025 10:00:00 +0100\nSubject: The kiln\n"
    assert texts(document) == [f"{head}\nIt is hot.\n\n> Is it hot?\n\n"]
    assert (headings(document), document.notice) == ([""], "")


def test_the_plain_body_is_taken_once_and_the_html_one_where_it_is_all_there_is(tmp_path):
    both = letter()
    both.set_content("It is hot. " * 30)
    both.add_alternative("<p>It is <b>hot</b>.</p>", subtype="html")
    stub = letter()
    stub.set_content("This is an HTML message.")
    stub.add_alternative(
        "<h1>News</h1><p>The kiln is hot, and it stays so until Friday.</p><p hidden>x</p>", subtype="html"
    )

    assert load_mail(tmp_path, both).sections[0].text.count("hot") == 30
    assert texts(load_mail(tmp_path, stub))[0].endswith("\n\nNews\nThe kiln is hot, and it stays so until Friday.\n\n")


@pytest.mark.parametrize(
    ("charset", "encoding", "body"),
    [
        ("utf-8", "8bit", "Größe".encode()),
        ("iso-8859-1", "quoted-printable", b"Gr=F6=DFe"),
        ("koi8-r", "8bit", "Печь горячая".encode("koi8-r")),
        ("shift_jis", "base64", b"g4yDWYNigsyP44LF"),
        ("no-such-charset", "8bit", "Größe".encode()),
        ("utf-8", "8bit", "Größe".encode("cp1252")),
        ('"UTF-8"Content-Transfer-Encoding: 8bit', "8bit", "Größe".encode()),
    ],
)
def test_bodies_are_decoded_by_what_they_say_or_what_they_are(tmp_path, charset, encoding, body):
    head = f"Subject: x\nContent-Type: text/plain; charset={charset}\nContent-Transfer-Encoding: {encoding}\n\n"

    text = texts(load_mail(tmp_path, head.encode() + body))[0]

    assert any(word in text for word in ("Größe", "Печь горячая", "レズッの上で"))


def test_headers_are_decoded_as_well_as_can_be(tmp_path):
    head = (
        b"\xef\xbb\xbfFROM: =?iso-8859-1?Q?Andr=E9?= Pirard <andre@example.org>\r\n"
        b"To: J\xc3\xbcrgen <j@example.org>\r\n"
        b"Subject: =?utf-8?B?w5/Dqw==?=\r\n =?utf-8?Q?_=E2=82=AC_?=and =?x-none?q?more?= =?utf-8?b?%%%?=\r\n"
        b"Date: not a date\r\nBroken line without a colon\r\n\r\nbody"
    )

    text = texts(load_mail(tmp_path, head))[0]

    assert "From: André Pirard <andre@example.org>\nTo: Jürgen <j@example.org>\nDate: not a date\n" in text
    assert "Subject: ßë € and more" in text
    assert "body" in text


def test_mails_saved_in_utf_16_are_read(tmp_path):
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        assert load_mail(tmp_path, "Subject: Kilns\n\nHot.\n".encode(encoding)).title == "Kilns"


def test_attached_documents_are_read_under_their_names(tmp_path):
    message = letter()
    message.set_content("See the files.")
    message.add_attachment(
        make_pdf(tmp_path / "x.pdf", [["Page one."], []]).read_bytes(), "application", "pdf", filename="a.pdf"
    )
    offer = docx.Document()
    offer.add_heading("Terms", 1)
    offer.add_paragraph("Thirty days.")
    offer.save(tmp_path / "x.docx")
    message.add_attachment((tmp_path / "x.docx").read_bytes(), "application", "octet-stream", filename="../Größe.docx")
    message.add_attachment(b"GIF89a", "image", "gif", filename="logo.gif")

    document = load_mail(tmp_path, message)

    assert "\nAttachments: a.pdf, Größe.docx, logo.gif\n" in document.sections[0].text
    assert headings(document)[1:] == [
        "Attachment › a.pdf › page 1",
        "Attachment › a.pdf › page 2",
        "Attachment › Größe.docx › Terms",
    ]
    assert texts(document)[1::2] == ["Page one.\n\n", "Terms\nThirty days.\n\n"]
    assert (document.pages, document.empty_pages) == (1, ())
    assert document.notice == "“a.pdf”: 1 pages have no text."


def test_an_attachment_that_fails_is_told_and_the_mail_is_read(tmp_path):
    message = letter()
    message.set_content("See the file.")
    message.add_attachment(b"%PDF-1.4 nonsense", "application", "pdf", filename="broken.pdf")
    message.add_attachment(b" \n", "text", "plain", filename="blank.txt")

    document = load_mail(tmp_path, message)

    assert len(document.sections) == 1
    assert "“broken.pdf”" in document.notice
    assert "The attachment “blank.txt” holds no text." in document.notice


def test_attached_messages_are_read_one_level_deep(tmp_path):
    inmost = letter(Subject="Inmost")
    inmost.set_content("unread text")
    inner = letter(Subject="Inner")
    inner.set_content("inner text")
    inner.add_attachment(inmost)
    outer = letter(Subject="Outer")
    outer.set_content("outer text")
    outer.add_attachment(inner)
    outer.add_attachment(inner.as_bytes(), "application", "octet-stream", filename="saved.eml")

    document = load_mail(tmp_path, outer)

    assert headings(document) == ["", "Attachment › Inner", "Attachment › saved.eml"]
    assert [("inner text" in text, "Attachments: Inmost" in text) for text in texts(document)[1:]] == [(True, True)] * 2
    assert not any("unread text" in text for text in texts(document))
    assert "“Inmost” is attached to an attached message and was not read." in document.notice


def test_what_is_attached_keeps_to_the_limit_of_the_mail(tmp_path):
    message = letter()
    message.set_content("x" * 600_000)
    message.add_attachment("y" * 600_000, filename="long.txt")

    document = load_mail(tmp_path, message, limits=Limits(max_text_mb=1))

    assert set(headings(document)) == {""}
    assert "“long.txt” holds more than 0 MB of text" in document.notice


def test_encrypted_mails_say_so(tmp_path):
    mail = b'Subject: Secret\nContent-Type: multipart/encrypted; boundary="x"\n\n--x\n\nVersion: 1\n--x--\n'

    document = load_mail(tmp_path, mail)

    assert (texts(document), document.notice) == (
        ["Subject: Secret\n\n"],
        "The message is encrypted or sealed: only its header could be read.",
    )


def test_deep_nesting_and_broken_boundaries_are_no_error(tmp_path):
    deep = b"Subject: deep\n" + b"".join(
        b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n' % (level, level) for level in range(200)
    )

    assert "nested too deeply" in load_mail(tmp_path, deep + b"\n\nbottom").notice
    assert (
        "open end"
        in texts(load_mail(tmp_path, b'Subject: a\nContent-Type: multipart/mixed; boundary="x"\n\n--x\n\nopen end'))[0]
    )


def test_attacks_cost_no_time(tmp_path):
    started = time.monotonic()

    load_mail(tmp_path, b"Subject: " + b"=?utf-8?q?a?= " * 100_000 + b"\n\nbody")
    with pytest.raises(UnreadableDocument, match="nested too deeply"):
        load_mail(tmp_path, b"Subject: a\nContent-Type: message/rfc822\n\n" * 3000)

    assert time.monotonic() - started < 60


def test_what_is_no_mail_is_refused(tmp_path):
    with pytest.raises(UnreadableDocument, match="not an e-mail"):
        load_mail(tmp_path, b"Just a note, not a mail.\n")
    with pytest.raises(EmptyDocument):
        load_mail(tmp_path, b" \r\n\r\n")


def test_an_attachment_of_an_unknown_kind_is_told(tmp_path):
    message = letter()
    message.set_content("See the files.")
    message.add_attachment(b"7z", "application", "x-7z-compressed", filename="plans.7z")

    assert load_mail(tmp_path, message).notice == "The attachment “plans.7z” was not read: no loader for such files."
