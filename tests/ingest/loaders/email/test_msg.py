"""Messages saved by Outlook: every kind of body, people, attachments, attached messages."""

from __future__ import annotations

import pytest

from rag.errors import UnreadableDocument
from tests.ingest.loaders.documents import headings, load, texts
from tests.ingest.loaders.email.compound_file import compound_file, message

NOON = 133_499_664_000_000_000  # 2024-01-17 12:00 UTC, in tenths of a microsecond since 1601
# {\rtf1\ansi\ansicpg1252\pard hello world}, the example of the format's description
COMPRESSED = bytes.fromhex(
    "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0"
)


def load_message(tmp_path, tree):
    (tmp_path / "a.msg").write_bytes(compound_file(tree))
    return load(tmp_path / "a.msg")


def test_people_date_and_body(tmp_path):
    tree = message(
        {0x0037: "The kiln", 0x0C1A: "Ana Li", 0x5D01: "ana@example.org", 0x1000: "It is hot.\r\n"}, {0x0039: NOON}
    )
    for number, (name, kind) in enumerate({"Bo": 1, "Cy": 2}.items()):
        person = {0x3001: name, 0x39FE: f"{name.lower()}@example.org"}
        tree[f"__recip_version1.0_#{number:08X}"] = message(person, {0x0C15: kind}, header=8)

    document = load_message(tmp_path, tree)

    assert document.title == "The kiln"
    head = "From: Ana Li <ana@example.org>\nTo: Bo <bo@example.org>\nCc: Cy <cy@example.org>\n"
    head += "Date: Wed, 17 Jan 2024 12:00:00 +0000\nSubject: The kiln\n"
    assert texts(document) == [f"{head}\nIt is hot.\n\n"]


@pytest.mark.parametrize(
    ("properties", "fixed", "words"),
    [
        ({0x1013: "<p>Größe</p>".encode("cp1252")}, {0x3FDE: 1252}, "Größe"),
        ({0x1013: "<p>Größe</p>"}, {}, "Größe"),
        ({0x1009: COMPRESSED}, {}, "hello world"),
        ({0x1009: bytes(8) + b"MELA" + bytes(4) + rb"{\rtf1 plain rtf}"}, {}, "plain rtf"),
    ],
)
def test_html_and_rtf_bodies_are_read(tmp_path, properties, fixed, words):
    assert texts(load_message(tmp_path, message({0x0037: "x", **properties}, fixed)))[0].endswith(f"\n\n{words}\n\n")


def test_code_pages_of_old_messages_are_believed(tmp_path):
    tree = message({0x1000: "x"}, {0x3FFD: 1251})
    tree["__substg1.0_0037001E"] = "Печь".encode("cp1251")

    assert load_message(tmp_path, tree).title == "Печь"


def test_attached_documents_and_messages_are_read(tmp_path):
    inner = message({0x0037: "Inner", 0x1000: "inner text"}, header=24)
    tree = message({0x0037: "Outer", 0x1000: "outer text"})
    tree["__attach_version1.0_#00000000"] = message({0x3707: "list.txt", 0x3701: b"A list."}, header=8)
    tree["__attach_version1.0_#00000001"] = message({0x3001: "Inner"}, header=8) | {"__substg1.0_3701000D": inner}
    tree["__attach_version1.0_#00000002"] = message(
        {0x3707: "logo.png", 0x3712: "cid1", 0x3701: b"x"}, {0x7FFE: 1}, header=8
    )

    document = load_message(tmp_path, tree)

    assert "Attachments: list.txt, Inner\n" in texts(document)[0]
    assert headings(document) == ["", "Attachment › list.txt", "Attachment › Inner"]
    assert texts(document)[1:] == ["A list.\n\n", "Subject: Inner\n\ninner text\n\n"]


def test_large_properties_and_broken_ones(tmp_path):
    tree = message({0x0037: "x", 0x1000: "word " * 100_000})
    tree["__substg1.0_0E04001F"] = b"\x00\xd8\x41"  # half a pair and half a character

    assert "".join(texts(load_message(tmp_path, tree))).count("word") == 100_000


def test_damage_is_told(tmp_path):
    data = compound_file(message({0x0037: "x", 0x1000: "word " * 10_000}))
    (tmp_path / "a.msg").write_bytes(data[: len(data) // 2])

    with pytest.raises(UnreadableDocument, match="is damaged"):
        load(tmp_path / "a.msg")


def test_other_compound_files_are_refused(tmp_path):
    for data in (
        compound_file({"WordDocument": b"x"}),
        b"not a compound file",
        bytes.fromhex("d0cf11e0a1b11ae1") + bytes(900),
    ):
        (tmp_path / "a.msg").write_bytes(data)
        with pytest.raises(UnreadableDocument):
            load(tmp_path / "a.msg")
