"""Zip containers of documents (docx, xlsx, odt, epub …): told apart by what they hold, never unpacked without bound."""

from __future__ import annotations

import zipfile
import zlib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ingest.loaders.base import MEGABYTE, Limits, not_what_it_says, sensible_title, unreadable
from rag.errors import UnreadableDocument

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lxml.etree import _Element

MOST_MEMBERS = 65_535  # what a zip holds without its 64-bit extension
_PIECE = MEGABYTE
OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # the container of .doc, .xls and .ppt, and of encrypted .docx
ZIP = b"PK"
_PROPERTIES = ("docProps/core.xml", "meta.xml")
TITLE = ".//{http://purl.org/dc/elements/1.1/}title"
# What zipfile raises on a damaged archive, an unknown compression (NotImplementedError) or a password (RuntimeError).
DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError)


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of document. `mark` begins its MIME type or the name of a member; `essential` is a member it must have."""

    suffix: str
    described: str
    program: str
    mark: str
    essential: str


_OPEN_XML = "[Content_Types].xml"
_ODF = "application/vnd.oasis.opendocument."
DOCX = Format(".docx", "a Word file (docx)", "Word", "word/", _OPEN_XML)
PPTX = Format(".pptx", "a PowerPoint file (pptx)", "PowerPoint", "ppt/", _OPEN_XML)
XLSX = Format(".xlsx", "an Excel file (xlsx)", "Excel", "xl/", _OPEN_XML)
ODT = Format(".odt", "an OpenDocument text (odt)", "LibreOffice", _ODF + "text", "content.xml")
ODS = Format(".ods", "an OpenDocument spreadsheet (ods)", "LibreOffice", _ODF + "spreadsheet", "content.xml")
ODP = Format(".odp", "an OpenDocument presentation (odp)", "LibreOffice", _ODF + "presentation", "content.xml")
EPUB = Format(".epub", "an EPUB book", "an EPUB editor", "application/epub+zip", "META-INF/container.xml")
_FORMATS = (DOCX, PPTX, XLSX, ODT, ODS, ODP, EPUB)


class Archive(AbstractContextManager["Archive"]):
    """An open container of a format among `expected`, checked: members, their sizes, encryption.

    Close it, or use `with`. Members are read in pieces: one that is larger than the archive says ends where it should.
    Raises UnreadableDocument: an old or encrypted office file, another format, damaged, or unpacking to more than
    `limits.max_file_mb`.
    """

    def __init__(self, path: Path, name: str, limits: Limits, *expected: Format) -> None:
        self._name = name
        named = next((kind for kind in expected if name.lower().endswith(kind.suffix)), expected[0])
        if begins_with(OLD_OFFICE, path):
            raise old_office_error(path, name, named)
        if not begins_with(ZIP, path):
            raise _unexpected(name, named, "It may be damaged")
        try:
            self._zip = zipfile.ZipFile(path)
        except DAMAGED_ZIP as error:
            raise damaged_error(name) from error
        try:
            self._check(limits, named, expected)
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._zip.close()

    def names(self) -> list[str]:
        """The members, in the archive's order."""
        return self._zip.namelist()

    def __contains__(self, member: str) -> bool:
        return member in self._zip.NameToInfo

    def pieces(self, member: str) -> Iterator[bytes]:
        """The member's bytes, 1 MB at a time. Raises UnreadableDocument when it is missing or damaged."""
        try:
            with self._zip.open(member) as file:
                while piece := file.read(_PIECE):
                    yield piece
        except KeyError as error:
            raise damaged_error(self._name, f"it lacks its part {member[:100]}") from error
        except DAMAGED_ZIP as error:
            raise damaged_error(self._name) from error

    def read(self, member: str) -> bytes:
        """The member's bytes. Raises UnreadableDocument when it is missing or damaged."""
        return b"".join(self.pieces(member))

    def xml(self, member: str, *, lenient: bool = False) -> _Element:
        """The root of a member that is XML. Raises UnreadableDocument, or lxml's XMLSyntaxError unless `lenient`."""
        return parse_xml(self.read(member), lenient=lenient)

    def title(self) -> str:
        """The title among the document's properties, "" when it says nothing or cannot be read."""
        from lxml.etree import XMLSyntaxError

        member = next((part for part in _PROPERTIES if part in self), "")
        try:
            return sensible_title(self.xml(member).findtext(TITLE) or "") if member else ""
        except XMLSyntaxError:
            return ""

    def verify(self) -> None:
        """Unpacks each member once and keeps nothing, for a library that would unpack it whole without a bound."""
        for member in self.names():
            for _ in self.pieces(member):
                pass

    def _check(self, limits: Limits, named: Format, expected: tuple[Format, ...]) -> None:
        members = self._zip.infolist()
        if len(members) > MOST_MEMBERS:
            raise unreadable(
                self._name,
                f"is an archive of {len(members)} parts, more than the {MOST_MEMBERS} allowed.",
                "No program writes such a document: it may be made to do harm.",
            )
        unpacked = sum(member.file_size for member in members)
        if unpacked > limits.max_file_mb * MEGABYTE:
            raise unreadable(
                self._name,
                f"unpacks to {unpacked // MEGABYTE} MB, more than the {limits.max_file_mb} allowed.",
                "Remove large pictures, or raise RAG_INGEST__MAX_FILE_MB.",
            )
        manifest = "META-INF/manifest.xml"  # OpenDocument encrypts the members and leaves the container open
        if any(member.flag_bits & 1 for member in members) or (
            manifest in self and b"encryption-data" in self.read(manifest)
        ):
            raise encrypted_error(self._name, named.program)
        mime_type = self.read("mimetype")[:100].decode("ascii", "replace").strip() if "mimetype" in self else ""
        marks = (mime_type, *self.names())
        found = next((kind for kind in _FORMATS if any(text.startswith(kind.mark) for text in marks)), None)
        if found is not None and found not in expected:
            raise unreadable(
                self._name,
                f"is {found.described}, although its name says otherwise.",
                f"Give it the suffix {found.suffix}.",
            )
        if all(kind.essential not in self for kind in expected):
            raise _unexpected(self._name, named, "It is some other zip archive")


def parse_xml(data: bytes, *, lenient: bool = False) -> _Element:
    """The root element. Entities are not expanded and nothing is fetched.

    Raises lxml's XMLSyntaxError when it is no XML; `lenient` makes the best of broken XML.
    """
    from lxml import etree

    root = etree.fromstring(data, xml_parser(lenient=lenient))
    return etree.Element("nothing") if root is None else root


def xml_parser(*, lenient: bool) -> Any:
    """A parser of XML that expands no entities, fetches nothing, and keeps its own limits on depth and size."""
    from lxml import etree

    return etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
        recover=lenient,
    )


def begins_with(mark: bytes, path: Path) -> bool:
    """Whether the file does, whatever its name."""
    with path.open("rb") as file:
        return file.read(len(mark)) == mark


def old_office_kind(path: Path) -> str:
    """What is in that container: ".doc", ".ppt" or ".xls", "encrypted", or "" when it cannot be told."""
    data = path.read_bytes()
    kinds = {"EncryptedPackage": "encrypted", "WordDocument": ".doc", "PowerPoint Document": ".ppt", "Workbook": ".xls"}
    return next((kind for stream, kind in kinds.items() if stream.encode("utf-16-le") in data), "")


def old_office_error(path: Path, name: str, expected: Format) -> UnreadableDocument:
    """What to say of a file in that container: that it is encrypted, or in an old format."""
    kind = old_office_kind(path)
    if kind == "encrypted":
        return encrypted_error(name, expected.program)
    new = next((new for new in (DOCX, PPTX, XLSX) if new.suffix == f"{kind}x"), expected)
    return unreadable(
        name,
        f"is in the old {new.program} format ({new.suffix[:-1]}).",
        f"Open it in {new.program} or LibreOffice and save it as {new.suffix}.",
    )


def encrypted_error(name: str, program: str) -> UnreadableDocument:
    """What to say of a file that opens with a password only."""
    return unreadable(
        name, "is encrypted and opens only with a password.", f"Remove its password in {program} and save it again."
    )


def damaged_error(name: str, how: str = "a part of it cannot be unpacked") -> UnreadableDocument:
    """What to say of a file that cannot be read; `how` says what is wrong."""
    return unreadable(
        name,
        f"is damaged or cut off: {how}.",
        "Copy it again from where it came, or open it in its own program and save it again.",
    )


def _unexpected(name: str, expected: Format, reason: str) -> UnreadableDocument:
    return not_what_it_says(name, expected.described, f"{reason}: open it in its own program and save it again.")
