"""Zip containers of documents (docx, xlsx, odt, epub …): told apart by what they hold, never unpacked without bound."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from ingest.loaders.base import MEGABYTE, Limits, quoted
from rag.errors import UnreadableDocument

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from lxml.etree import _Element

MOST_MEMBERS = 65_535  # what a zip holds without its 64-bit extension
_PIECE = MEGABYTE
_OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # the container of .doc, .xls and .ppt, and of encrypted .docx
_ZIP = b"PK"
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError)


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of document. `mark` begins its MIME type or the name of a member; `essential` is a member it must have."""

    suffix: str
    described: str
    program: str
    mark: str
    essential: str


_OPEN_XML = "[Content_Types].xml"
_OPEN_DOCUMENT = "application/vnd.oasis.opendocument."
DOCX = Format(".docx", "Word file (docx)", "Word", "word/", _OPEN_XML)
PPTX = Format(".pptx", "PowerPoint file (pptx)", "PowerPoint", "ppt/", _OPEN_XML)
XLSX = Format(".xlsx", "Excel file (xlsx)", "Excel", "xl/", _OPEN_XML)
ODT = Format(".odt", "OpenDocument text (odt)", "LibreOffice", _OPEN_DOCUMENT + "text", "content.xml")
ODS = Format(".ods", "OpenDocument spreadsheet (ods)", "LibreOffice", _OPEN_DOCUMENT + "spreadsheet", "content.xml")
ODP = Format(".odp", "OpenDocument presentation (odp)", "LibreOffice", _OPEN_DOCUMENT + "presentation", "content.xml")
EPUB = Format(".epub", "EPUB book", "an EPUB editor", "application/epub+zip", "META-INF/container.xml")
_FORMATS = (DOCX, PPTX, XLSX, ODT, ODS, ODP, EPUB)
_OLD_FORMATS = (  # name of the stream with the document, its program, its suffix, and what to save it as
    ("WordDocument", "Word", ".doc", ".docx"),
    ("PowerPoint Document", "PowerPoint", ".ppt", ".pptx"),
    ("Workbook", "Excel", ".xls", ".xlsx"),
)


class Archive:
    """An open container of the format `expected` (or `another`), checked: members, their sizes, encryption.

    Close it, or use `with`. Members are read in pieces: one that is larger than the archive says ends where it should.
    Raises UnreadableDocument: an old or encrypted office file, another format, damaged, or unpacking to more than
    `limits.max_file_mb`.
    """

    def __init__(self, path: Path, name: str, limits: Limits, expected: Format, *another: Format) -> None:
        self._name = name
        if is_old_office(path):
            raise old_office_error(path, name, expected)
        if not is_zip(path):
            raise _not_what_it_says(name, expected, "It may be damaged")
        try:
            self._zip = zipfile.ZipFile(path)
        except _DAMAGED as error:
            raise self._damaged() from error
        try:
            self._check(limits, (expected, *another))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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
            raise self._damaged(f"it lacks its part {member[:100]}") from error
        except _DAMAGED as error:
            raise self._damaged() from error

    def read(self, member: str) -> bytes:
        """The member's bytes. Raises UnreadableDocument when it is missing or damaged."""
        return b"".join(self.pieces(member))

    def xml(self, member: str) -> _Element:
        """The root of a member that is XML. Raises UnreadableDocument, or lxml's XMLSyntaxError."""
        return parse_xml(self.read(member))

    def verify(self) -> None:
        """Unpacks each member once and keeps nothing, for a library that would unpack it whole without a bound."""
        for member in self.names():
            for _ in self.pieces(member):
                pass

    def _check(self, limits: Limits, allowed: tuple[Format, ...]) -> None:
        expected = allowed[0]
        members = self._zip.infolist()
        if len(members) > MOST_MEMBERS:
            raise UnreadableDocument(
                f"{quoted(self._name)} is an archive of {len(members)} parts, more than the {MOST_MEMBERS} allowed.",
                hint="No program writes such a document: it may be made to do harm.",
                source=self._name,
            )
        unpacked = sum(member.file_size for member in members)
        if unpacked > limits.max_file_mb * MEGABYTE:
            raise UnreadableDocument(
                f"{quoted(self._name)} unpacks to {unpacked // MEGABYTE} MB, more than the "
                f"{limits.max_file_mb} allowed.",
                hint="Remove large pictures, or raise RAG_INGEST__MAX_FILE_MB.",
                source=self._name,
            )
        manifest = "META-INF/manifest.xml"  # OpenDocument encrypts the members and leaves the container open
        if any(member.flag_bits & 1 for member in members) or (
            manifest in self and b"encryption-data" in self.read(manifest)
        ):
            raise encrypted_error(self._name, expected.program)
        mime_type = self.read("mimetype")[:100].decode("ascii", "replace").strip() if "mimetype" in self else ""
        marks = (mime_type, *self.names())
        found = next((kind for kind in _FORMATS if any(text.startswith(kind.mark) for text in marks)), None)
        if found is not None and found not in allowed:
            raise UnreadableDocument(
                f"{quoted(self._name)} is {_with_article(found)}, although its name says otherwise.",
                hint=f"Give it the suffix {found.suffix}.",
                source=self._name,
            )
        if all(kind.essential not in self for kind in allowed):
            raise _not_what_it_says(self._name, expected, "It is some other zip archive")

    def _damaged(self, how: str = "a part of it cannot be unpacked") -> UnreadableDocument:
        return UnreadableDocument(
            f"{quoted(self._name)} is damaged or cut off: {how}.",
            hint="Copy it again from where it came, or open it in its own program and save it again.",
            source=self._name,
        )


def parse_xml(data: bytes) -> _Element:
    """The root element. Entities are not expanded and nothing is fetched. Raises lxml's XMLSyntaxError."""
    from lxml import etree

    parser: Any = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    return etree.fromstring(data, parser)


def is_zip(path: Path) -> bool:
    """Whether the file begins like a zip archive, whatever its name."""
    with path.open("rb") as file:
        return file.read(len(_ZIP)) == _ZIP


def is_old_office(path: Path) -> bool:
    """Whether the file is in the container of .doc, .xls, .ppt and of encrypted office files."""
    with path.open("rb") as file:
        return file.read(len(_OLD_OFFICE)) == _OLD_OFFICE


def old_office_error(path: Path, name: str, expected: Format) -> UnreadableDocument:
    """What to say of a file in that container: that it is encrypted, or in an old format."""
    data = path.read_bytes()
    if "EncryptedPackage".encode("utf-16-le") in data:
        return encrypted_error(name, expected.program)
    _, program, suffix, save_as = next(
        (old for old in _OLD_FORMATS if old[0].encode("utf-16-le") in data),
        next((old for old in _OLD_FORMATS if old[1] == expected.program), _OLD_FORMATS[0]),
    )
    return UnreadableDocument(
        f"{quoted(name)} is in the old {program} format ({suffix}).",
        hint=f"Open it in {program} or LibreOffice and save it as {save_as}.",
        source=name,
    )


def encrypted_error(name: str, program: str) -> UnreadableDocument:
    """What to say of a file that opens with a password only."""
    return UnreadableDocument(
        f"{quoted(name)} is encrypted and opens only with a password.",
        hint=f"Remove its password in {program} and save it again.",
        source=name,
    )


def _with_article(kind: Format) -> str:
    return f"{'an' if kind.described[0] in 'AEIO' else 'a'} {kind.described}"


def _not_what_it_says(name: str, expected: Format, reason: str) -> UnreadableDocument:
    return UnreadableDocument(
        f"{quoted(name)} is not {_with_article(expected)}, although its name says so.",
        hint=f"{reason}: open it in its own program and save it again.",
        source=name,
    )
