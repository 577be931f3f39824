"""Containers: told apart, counted before they are unpacked, and never believed."""

from __future__ import annotations

import struct
import zipfile

import pytest

from ingest.loaders import Limits
from ingest.loaders.zip_container import DOCX, EPUB, MOST_MEMBERS, ODT, PPTX, Archive, parse_xml
from rag.errors import UnreadableDocument

WORD = {"[Content_Types].xml": b"<Types/>", "word/document.xml": b"<document>text</document>"}


def pack(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def understate(path, member, size):
    """Lets both headers of the member say that it has `size` bytes."""
    data = bytearray(path.read_bytes())
    for signature, name_at, size_at in ((b"PK\x03\x04", 30, 22), (b"PK\x01\x02", 46, 24)):
        start = data.find(signature)
        while start >= 0:
            if data[start + name_at :].startswith(member.encode()):
                struct.pack_into("<I", data, start + size_at, size)
            start = data.find(signature, start + 4)
    path.write_bytes(data)


def test_members_are_read_whole_and_in_pieces(tmp_path):
    path = pack(tmp_path / "a.docx", {**WORD, "word/media/a.bin": bytes(3 << 20)})

    with Archive(path, "a.docx", Limits(), DOCX) as archive:
        assert archive.names() == [*WORD, "word/media/a.bin"]
        assert [len(piece) for piece in archive.pieces("word/media/a.bin")] == [1 << 20] * 3
        assert archive.xml("word/document.xml").text == "text"
        assert ("word/document.xml" in archive, "word/other.xml" in archive) == (True, False)
        archive.verify()
        with pytest.raises(UnreadableDocument, match="lacks its part"):
            archive.read("word/other.xml")


def test_another_format_is_named(tmp_path):
    pack(tmp_path / "word.pptx", WORD)
    pack(tmp_path / "book.odt", {"mimetype": b"application/epub+zip", "content.xml": b""})
    pack(tmp_path / "zip.epub", {"hello.txt": b"hello"})
    (tmp_path / "text.docx").write_text("hello")

    for name, expected, message, hint in (
        ("word.pptx", PPTX, r"is a Word file \(docx\)", "suffix .docx"),
        ("book.odt", ODT, "is an EPUB book", "suffix .epub"),
        ("zip.epub", EPUB, "is not an EPUB book, although its name says so", "other zip"),
        ("text.docx", DOCX, "is not a Word file", "damaged"),
    ):
        with pytest.raises(UnreadableDocument, match=message) as caught:
            Archive(tmp_path / name, name, Limits(), expected)
        assert hint in caught.value.hint


def test_old_and_encrypted_office_files_are_told_apart_by_their_content(tmp_path):
    for stream, message in {
        "WordDocument": r"old Word format \(.doc\)",
        "PowerPoint Document": r"old PowerPoint format \(.ppt\)",
        "EncryptedPackage": "is encrypted",
        "": r"old PowerPoint format \(.ppt\)",
    }.items():
        (tmp_path / "a.pptx").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + stream.encode("utf-16-le") + bytes(600))
        with pytest.raises(UnreadableDocument, match=message):
            Archive(tmp_path / "a.pptx", "a.pptx", Limits(), PPTX)


def test_what_unpacks_too_large_is_not_unpacked(tmp_path):
    path = pack(tmp_path / "a.docx", {**WORD, "word/media/a.bmp": bytes(3 << 20)})

    with pytest.raises(UnreadableDocument, match="unpacks to 3 MB"):
        Archive(path, "a.docx", Limits(max_file_mb=2), DOCX)


def test_sizes_that_lie_do_not_help(tmp_path):
    path = pack(tmp_path / "a.docx", {**WORD, "word/media/a.bmp": bytes(3 << 20)})
    understate(path, "word/media/a.bmp", 10)

    with Archive(path, "a.docx", Limits(max_file_mb=2), DOCX) as archive:
        with pytest.raises(UnreadableDocument, match="is damaged"):
            archive.verify()
        pieces = archive.pieces("word/media/a.bmp")
        with pytest.raises(UnreadableDocument, match="is damaged"):
            assert sum(map(len, pieces)) <= 10


def test_too_many_members(tmp_path):
    path = pack(tmp_path / "a.docx", {"word/document.xml": b""})
    data = path.read_bytes()
    directory, end = data.find(b"PK\x01\x02"), data.find(b"PK\x05\x06")
    entries = data[directory:end] * (MOST_MEMBERS + 1)
    path.write_bytes(
        data[:directory] + entries + data[end : end + 12] + struct.pack("<IIH", len(entries), directory, 0)
    )

    with pytest.raises(UnreadableDocument, match="65536 parts"):
        Archive(path, "a.docx", Limits(), DOCX)


def test_encrypted_members_are_said_to_be(tmp_path):
    path = pack(tmp_path / "a.docx", WORD)
    data = bytearray(path.read_bytes())
    data[data.find(b"PK\x01\x02") + 8] |= 1  # the flag in the directory
    path.write_bytes(data)
    pack(
        tmp_path / "a.odt",
        {
            "mimetype": b"application/vnd.oasis.opendocument.text",
            "content.xml": b"\x00",
            "META-INF/manifest.xml": b"<manifest><encryption-data/></manifest>",
        },
    )

    for name, expected in (("a.docx", DOCX), ("a.odt", ODT)):
        with pytest.raises(UnreadableDocument, match="is encrypted"):
            Archive(tmp_path / name, name, Limits(), expected)


@pytest.mark.parametrize("length", [4, 100, 200, -30])
def test_cut_off_files_are_damaged(tmp_path, length):
    path = pack(tmp_path / "a.docx", WORD)
    path.write_bytes(path.read_bytes()[:length])

    with pytest.raises(UnreadableDocument, match="is damaged or cut off"):
        Archive(path, "a.docx", Limits(), DOCX)


def test_entities_are_not_expanded_and_files_not_included(tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    xml = (
        '<!DOCTYPE a [<!ENTITY ten "aaaaaaaaaa"><!ENTITY many "&ten;&ten;&ten;">'
        f'<!ENTITY file SYSTEM "{(tmp_path / "secret.txt").as_uri()}">]><a>one &many; &file; two</a>'
    )

    assert "".join(parse_xml(xml.encode()).itertext()).split() == ["one", "&many;", "&file;", "two"]
