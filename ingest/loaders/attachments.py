"""Files within a file, such as what is attached to a mail or a PDF: each is read by the loader of its format, its
sections stand under its name, and what is not read is told."""

from __future__ import annotations

import io
import mimetypes
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePath

from ingest.loaders.base import HEADING_SEPARATOR, MEGABYTE, Extracted, Limits, quoted, short_name
from ingest.loaders.zip_container import DAMAGED_ZIP
from rag.errors import DocumentError, EmptyDocument, UnsupportedFileType
from rag.types.documents import Section

ReadAttachment = Callable[[bytes, str, Limits], Extracted]  # what finds the text of an attached file; see load_document

_MOST_NOTICES = 10
_MOST_MEMBERS = 200  # of an archive
# A file may hold thousands of attachments: when they have taken that long, the rest are only named, so that the file
# itself is never lost to its time limit.
_ATTACHMENT_SECONDS = 60.0  # of processor time


class AttachmentReader:
    """Collects the sections of a file and of what is attached to it, within the file's limits."""

    def __init__(self, name: str, limits: Limits, read_attachment: ReadAttachment) -> None:
        self._name = name
        self._limits = limits
        self._read_attachment = read_attachment
        self._sections: list[Section] = []
        self._characters = 0
        self._seconds = 0.0
        self._notices: list[str] = []
        self._in_archive = False

    def add(self, section: Section) -> None:
        """Takes in a section; raises UnreadableDocument when the file holds more text than allowed."""
        self._sections.append(section)
        self._characters += len(section.text)
        self._limits.check_text(self._characters, self._name)

    def note(self, notice: str) -> None:
        """Takes in something that the user should know."""
        self._notices.append(notice)

    def extracted(self, title: str = "") -> Extracted:
        """All that was read, with the title given."""
        notices = list(dict.fromkeys(self._notices))
        if len(notices) > _MOST_NOTICES:
            notices[_MOST_NOTICES:] = [f"And {len(notices) - _MOST_NOTICES} notices more."]
        return Extracted(title=title, sections=self._sections, notice=" ".join(filter(None, notices)))

    def read_file(self, name: str, data: bytes, place: str, record_id: str | None = None) -> None:
        """Adds the sections of an attached file, under the heading `place`. Raises UnreadableDocument when all together
        is more text than allowed."""
        if not data:
            return
        if self._seconds > _ATTACHMENT_SECONDS:
            self.note("Reading the attachments took too long: the last ones are only named.")
            return
        started = time.process_time()
        try:
            self.read_content(name, data, place, record_id)
        except UnsupportedFileType:
            if not (mimetypes.guess_type(name)[0] or "").startswith("image/"):  # most are a sender's logo
                self.note(f"The attachment {quoted(name)} was not read: no loader for such files.")
        except EmptyDocument:
            self.note(f"The attachment {quoted(name)} holds no text.")
        except DocumentError as error:
            self.note(f"The attachment was not read: {error.message}")
        except MemoryError:
            self.note(f"The attachment {quoted(name)} takes too much memory and was not read.")
        except RecursionError:
            self.note(f"The attachment {quoted(name)} is nested too deeply and was not read.")
        finally:
            self._seconds += time.process_time() - started

    def read_content(self, name: str, data: bytes, place: str, record_id: str | None) -> None:
        """Adds the sections that the loader of its format finds, or those of the files in an archive. Raises
        DocumentError."""
        if PurePath(name).suffix.lower() == ".zip" and not self._in_archive:
            self._read_archive(name, data, place, record_id)
            return
        room = self._limits.max_text_mb * MEGABYTE - self._characters
        extracted = self._read_attachment(data, name, replace(self._limits, max_text_mb=room // MEGABYTE))
        if extracted.notice:
            self.note(f"{quoted(name)}: {extracted.notice}")
        empty = 0
        for section in extracted.sections:
            empty += section.page_index is not None and not section.text.strip()
            page = f"page {section.page_label or section.page_index + 1}" if section.page_index is not None else ""
            heading = HEADING_SEPARATOR.join(filter(None, (place, section.heading, page)))
            self.add(Section(section.text.rstrip() + "\n\n", heading=heading, record_id=record_id))
        if empty:
            self.note(f"{quoted(name)}: {empty} pages have no text.")

    def _read_archive(self, name: str, data: bytes, place: str, record_id: str | None) -> None:
        """Adds what is in a zip archive; an archive in it is not opened."""
        most_bytes = self._limits.max_file_mb * MEGABYTE
        self._in_archive = True
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                files = [member for member in archive.infolist() if not member.is_dir()]
                if len(files) > _MOST_MEMBERS:
                    self.note(f"{quoted(name)} holds {len(files)} files, of which {_MOST_MEMBERS} were read.")
                for member in files[:_MOST_MEMBERS]:
                    most_bytes -= member.file_size
                    if member.flag_bits & 1:
                        self.note(f"{quoted(member.filename)} in {quoted(name)} opens only with a password.")
                    elif most_bytes < 0:
                        self.note(
                            f"{quoted(name)} unpacks to more than {self._limits.max_file_mb} MB: not all was read."
                        )
                        break
                    else:
                        with archive.open(member) as file:
                            content = file.read(member.file_size)
                        inner = HEADING_SEPARATOR.join((place, short_name(member.filename)))
                        self.read_file(member.filename, content, inner, record_id)
        except DAMAGED_ZIP:
            self.note(f"The attachment {quoted(name)} is damaged and was not read, or not wholly.")
        finally:
            self._in_archive = False
