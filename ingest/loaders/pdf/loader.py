"""PDF files: one section per page, with the page's printed label and its place in the outline.

Text comes from pdfium; pypdf steps in where pdfium refuses a file. Scanned pages are read by text recognition where
that is installed, and else give empty sections.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from ingest.loaders import ocr
from ingest.loaders.attachments import AttachmentReader, ReadAttachment
from ingest.loaders.base import (
    HEADING_SEPARATOR,
    MEGABYTE,
    Extracted,
    HeadingPath,
    Limits,
    Section,
    not_what_it_says,
    page_numbers,
    quoted,
    readable_stem,
    sensible_title,
    short_name,
    squeeze,
    unreadable,
)
from ingest.loaders.pdf.annotations import annotated_page, attached_files
from ingest.loaders.pdf.headers_footers import without_running_lines
from ingest.loaders.pdf.layout import seen_text
from ingest.loaders.pdf.page_labels import printed_labels
from ingest.loaders.pdf.page_titles import with_page_title
from rag.errors import UnreadableDocument

if TYPE_CHECKING:
    from pypdf import PdfReader
    from pypdfium2 import PdfDocument, PdfPage

logger = logging.getLogger(__name__)

_LONGEST_STAMP = 300  # characters that a scanned page may have besides
_MORE_BY_RECOGNITION = 1.5  # times what is there as text
_SCAN_SHARE = 0.5  # of such a page is covered by its image
_LOGO_SHARE = 0.02  # of a page without any text: a smaller image is none of text
_MANY_OBJECTS = 30  # of which a page without text may be drawn text
_FINEST_SCALE = 300 / 72  # pixels a point

_XFA = "A dynamic form (XFA), of which what was filled in is not read: print it to a new PDF, and add that."
Bookmark = tuple[int, int, str]  # page index, level from 1, title
_Entry = tuple[int | None, int, str]  # the same as it stands in the file

_FORMS = re.compile("[\ufb00-\ufb06\ufb13-\ufb17\ufb50-\ufdfb\ufe70-\ufefc]")  # ligatures and Arabic letter shapes
_SPACES = re.compile("[\t \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\uf020]+")
_NOT_TEXT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b\u2060\ufeff\ud800-\udfff]")
# From an entry of a table of contents to its page number.
_LEADERS = re.compile(r"(?<![.·_…])(?<![.·_…]\s)(?:[.·_…]\s?){5,}(?=\s|\d|$)")
_BULLETS = str.maketrans({"\uf0b7": "•", "\uf0a7": "▪", "\uf0a3": "☐", "\uf052": "☒"})
# pdfium writes U+FFFE for a hyphen at a line's end and drops the line break; others keep both.
_LINE_END_HYPHEN = re.compile(
    r"(?<![^\W_])(?<![^\W_]-)((?:[^\W_]++-(?=[^\W_]))*+[^\W_]++)(?:\ufffe|[-\u2010]\n)([^\W_]++(?:-[^\W_]++)*+)"
)
_WORD = re.compile(r"[^\W_]++(?:-[^\W_]++)*+")


@dataclass(slots=True)
class _Pages:
    """What the pages gave, so far: a text each, and the pages (from 0) of which there is more to say."""

    texts: list[str] = field(default_factory=list)
    broken: list[int] = field(default_factory=list)
    recognised: list[int] = field(default_factory=list)
    hidden: list[int] = field(default_factory=list)
    pictures: list[int] = field(default_factory=list)
    notes: dict[int, list[str]] = field(default_factory=dict)
    files: list[tuple[str, bytes | None]] = field(default_factory=list)
    shown_layers: set[str] = field(default_factory=set)

    def read(
        self, count: int, text_of_page: Callable[[int], str], errors: type[Exception], limits: Limits, name: str
    ) -> None:
        """Takes in all pages; one at which `errors` are raised is broken. Raises UnreadableDocument over a limit."""
        limits.check_pages(count, name)
        characters = 0
        for index in range(count):
            try:
                text = text_of_page(index)
            except errors as error:
                logger.info("page %d of %s cannot be read: %r", index + 1, quoted(name), error)
                self.broken.append(index)
                text = ""
            self.texts.append(text)
            characters += len(text)
            limits.check_text(characters, name)

    @property
    def notice(self) -> str:
        """What the user should know."""
        notices = [ocr.notice(self.recognised, len(self.texts))]
        if self.broken:
            notices.append(f"Could not be read: {page_numbers(self.broken)}.")
        if self.pictures:
            where = page_numbers(self.pictures)
            notices.append(
                f"Pictures fill most of {where}: install text recognition (`make setup EXTRAS=ocr`) for them."
            )
        if self.hidden:
            notices.append(f"Hidden text was left out: {page_numbers(self.hidden)}.")
        return " ".join(filter(None, notices))


def load_pdf(path: Path, name: str, limits: Limits, read_attachment: ReadAttachment | None = None) -> Extracted:
    """One section per page, empty ones too, then those of attached files, which are only named where nothing reads
    them. Raises UnreadableDocument: encrypted, broken, or over a limit."""
    import pypdfium2
    from pypdfium2.raw import FPDF_ERR_PASSWORD

    with path.open("rb") as file:
        if b"%PDF-" not in file.read(4096):
            raise not_what_it_says(name, "a PDF")
    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        if error.err_code == FPDF_ERR_PASSWORD:
            raise _encrypted(name) from error
        logger.info("pdfium refuses %s (%s); trying pypdf", quoted(name), error)
        return _load_with_pypdf(path, name, limits)
    with document:
        document.init_forms()
        return _load_with_pdfium(document, name, limits, read_attachment)


def _load_with_pdfium(
    document: PdfDocument, name: str, limits: Limits, read_attachment: ReadAttachment | None
) -> Extracted:
    from pypdfium2 import PdfiumError
    from pypdfium2.raw import FORMTYPE_XFA_FULL

    pages = _Pages()
    most_bytes = limits.max_file_mb * MEGABYTE

    def text_of_page(index: int) -> str:
        with annotated_page(document, index, most_bytes) as (page, annotations):
            pages.files += annotations.files
            if annotations.notes:
                pages.notes[index] = annotations.notes
            text, some_hidden = seen_text(page, annotations, pages.shown_layers)
            if some_hidden:
                pages.hidden.append(index)
            return _recognised(page, index, pages, limits, text) if _is_scan(page, text) else text

    pages.read(len(document), text_of_page, PdfiumError, limits, name)
    labels = [document.get_page_label(index) for index in range(len(document))]
    title = document.get_metadata_value("Title")
    pages.files += attached_files(document, most_bytes)
    extracted = _assemble(name, title, pages, labels, _bookmarks(_outline(document)))
    if document.get_formtype() == FORMTYPE_XFA_FULL:
        extracted = replace(extracted, notice=f"{extracted.notice} {_XFA}".strip())
    return _with_files(extracted, pages.files, name, limits, read_attachment) if pages.files else extracted


def _with_files(
    extracted: Extracted,
    files: Iterable[tuple[str, bytes | None]],
    name: str,
    limits: Limits,
    read_attachment: ReadAttachment | None,
) -> Extracted:
    """What was found, and what is attached to it."""
    if read_attachment is None:
        names = ", ".join(quoted(attached) for attached, _ in files)
        return replace(extracted, notice=f"{extracted.notice} Attached, and not read: {names}.".strip())
    reader = AttachmentReader(name, limits, read_attachment)
    reader.note(extracted.notice)
    for section in extracted.sections:
        reader.add(section)
    for attached, data in files:
        if data is None:
            reader.note(f"The attachment {quoted(attached)} is too large, or damaged, and was not read.")
        else:
            reader.read_file(attached, data, f"Attachment › {short_name(attached)}")
    return reader.extracted(extracted.title)


def _recognised(page: PdfPage, index: int, pages: _Pages, limits: Limits, text: str) -> str:
    """The text in the picture that a page is; its own text where nothing reads pictures."""
    if not ocr.is_installed():
        if text.strip():  # a page without any is told of in any case
            pages.pictures.append(index)
        return text
    scale = min(ocr.LONGEST_SIDE / max(*page.get_size(), 1.0), _FINEST_SCALE)
    try:
        recognised = ocr.recognised(page.render(scale=scale).to_numpy())
    except Exception as error:  # noqa: BLE001 - such as too little memory; the other pages may be sound
        logger.info("text recognition fails on page %d: %r", index + 1, error)
        pages.broken.append(index)
        return text
    finally:
        limits.heartbeat()
    if len(recognised) <= _MORE_BY_RECOGNITION * len(text.strip()):  # its own text is what there is, and is better
        return text
    pages.recognised.append(index)
    return recognised


def _is_scan(page: PdfPage, text: str) -> bool:
    """Whether a page without text shows more than a few lines, or one with hardly any is mostly an image."""
    from pypdfium2.raw import FPDF_PAGEOBJ_IMAGE

    if len(text) > _LONGEST_STAMP:
        return False
    objects = list(islice(page.get_objects(max_depth=3), _MANY_OBJECTS))
    images = [object_ for object_ in objects if object_.type == FPDF_PAGEOBJ_IMAGE]
    share = sum(_area(image.get_bounds()) for image in images) / max(_area(page.get_cropbox()), 1.0)
    if text.strip():
        return share > _SCAN_SHARE
    return share > _LOGO_SHARE or len(objects) == _MANY_OBJECTS


def _area(box: tuple[float, float, float, float]) -> float:
    left, bottom, right, top = box
    return (right - left) * (top - bottom)


def _load_with_pypdf(path: Path, name: str, limits: Limits) -> Extracted:
    from pypdf import PdfReader

    reader = PdfReader(path, strict=False)
    if reader.is_encrypted and not reader.decrypt(""):
        raise _encrypted(name)
    pages = _Pages()
    # pypdf raises anything
    pages.read(len(reader.pages), lambda index: reader.pages[index].extract_text(), Exception, limits, name)
    if len(pages.broken) == len(pages.texts):
        raise unreadable(
            name, "is damaged: no page of it can be read.", "Open it in a PDF viewer and print or save it as a new PDF."
        )
    title = reader.metadata.title if reader.metadata else None
    return _assemble(name, title or "", pages, _labels_of(reader), _bookmarks(_outline_of(reader)))


def _labels_of(reader: PdfReader) -> list[str]:
    try:
        return reader.page_labels
    except Exception as error:  # noqa: BLE001 - pypdf raises anything
        logger.info("the page labels are damaged: %r", error)
        return [""] * len(reader.pages)


def _outline_of(reader: PdfReader, entries: list[Any] | None = None, level: int = 1) -> Iterator[_Entry]:
    for entry in reader.outline if entries is None else entries:
        if isinstance(entry, list):
            yield from _outline_of(reader, entry, level + 1)
        else:
            yield reader.get_destination_page_number(entry), level, entry.title or ""


def _encrypted(name: str) -> UnreadableDocument:
    return unreadable(
        name,
        "is encrypted and opens only with a password.",
        "Remove the password (open it and print or save it as a new PDF), then add it again.",
    )


def _outline(document: PdfDocument) -> Iterator[_Entry]:
    for bookmark in document.get_toc():
        destination = bookmark.get_dest()
        yield destination.get_index() if destination else None, bookmark.level + 1, bookmark.get_title()


def _bookmarks(outline: Iterator[_Entry]) -> list[Bookmark]:
    """The outline in the order of its pages; what of it cannot be read is left out."""
    bookmarks: list[Bookmark] = []
    try:
        for page, level, title in outline:
            heading = squeeze(_clean(title))
            if page is not None and page >= 0 and heading:
                bookmarks.append((page, level, heading))
    except Exception as error:  # noqa: BLE001 - pypdf raises anything
        logger.info("the outline is damaged: %r", error)
    return bookmarks


def _assemble(name: str, title: str, pages: _Pages, labels: list[str], bookmarks: list[Bookmark]) -> Extracted:
    texts = [_clean(text) for text in pages.texts]
    labels = _labels(texts, [_clean(label).strip() for label in labels])
    headings = _page_headings(bookmarks, len(texts))
    parts = [heading.split(HEADING_SEPARATOR) for heading in headings]
    joined = _join_hyphens(without_running_lines(texts, labels, parts))
    tidied = [_tidy(text) for text in joined]
    noted = [
        text + "".join(f"{_clean(note)}\n" for note in pages.notes.get(index, ())) for index, text in enumerate(tidied)
    ]
    sections = [
        Section(text, index, label, with_page_title(heading, text))
        for index, (text, label, heading) in enumerate(zip(noted, labels, headings, strict=True))
    ]
    return Extracted(title=_title(title, name), sections=sections, notice=pages.notice)


def _labels(texts: list[str], own: list[str]) -> list[str]:
    """The file's own page labels; where it has none, or only counts its pages, those printed on the pages."""
    counted = [str(index + 1) for index in range(len(texts))]
    own = [label or number for label, number in zip(own, counted, strict=True)]
    return printed_labels(texts) if own == counted else own


def _page_headings(bookmarks: list[Bookmark], pages: int) -> list[str]:
    """For each page the path of the first heading that begins on it, else of the last one that began before."""
    first_on: dict[int, str] = {}
    last_on: dict[int, str] = {}
    path = HeadingPath()
    for page, level, heading in bookmarks:
        last_on[page] = path.enter(level, heading)
        first_on.setdefault(page, last_on[page])
    headings: list[str] = []
    current = ""
    for page in range(pages):
        headings.append(first_on.get(page, current))
        current = last_on.get(page, current)
    return headings


def _clean(text: str) -> str:
    """Letters as they are typed: no ligatures, one kind of space and line end, nothing unprintable."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n").translate(_BULLETS)
    text = _FORMS.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)
    text = re.sub("\u00ad\n", "-\n", text)
    text = _LEADERS.sub(lambda match: "_____ " if "_" in match[0] else " … ", text)
    return unicodedata.normalize("NFC", _SPACES.sub(" ", _NOT_TEXT.sub("", text)))


def _tidy(text: str) -> str:
    """No space at line ends, no rows of blank lines; ends with a line break unless empty."""
    text = re.sub(r"(?<! ) *+\n *+", "\n", text.replace("\ufffe", "-"))
    text = re.sub(r"\n{3,}", "\n\n", text).strip()
    return text + "\n" if text else ""


def _join_hyphens(texts: list[str]) -> list[str]:
    """Words broken at a line's end, whole again; the rest of the document says which keep their hyphen."""
    if not any(_LINE_END_HYPHEN.search(text) for text in texts):
        return texts
    words = {match[0].lower() for text in texts for match in _WORD.finditer(_LINE_END_HYPHEN.sub(" ", text))}
    words |= {part for word in words for part in word.split("-")}

    def join(match: re.Match[str]) -> str:
        before, after = match[1].lower(), match[2].lower()
        last, first = before.rpartition("-")[2], after.partition("-")[0]
        if last + first in words or before + after in words:
            hyphen = ""
        elif f"{before}-{after}" in words or not match[2][0].islower() or not last[-1].isalpha():
            hyphen = "-"
        else:  # unknown either way: two words known for themselves are a compound
            is_long = min(len(last), len(first)) > 2 or "-" in before + after
            hyphen = "-" if is_long and last in words and first in words else ""
        return f"{match[1]}{hyphen}{match[2]}"

    return [_LINE_END_HYPHEN.sub(join, text) for text in texts]


def _title(own: str, name: str) -> str:
    """The title in the metadata, followed by the file name where they share no word: such titles are often poor."""
    title = sensible_title(own)
    stem = readable_stem(PurePath(name).name)
    squeezed = re.sub(r"[\W_]", "", title).lower()
    words = re.findall(r"[^\W\d_]{3,}", stem.lower())
    if title and words and not any(word in squeezed for word in words):
        return f"{title} ({stem})"
    return title
