"""Rich text (rtf): paragraphs and table rows, a section per heading where the file names its styles so."""

from __future__ import annotations

import re
from pathlib import Path

from ingest.loaders.base import HIDDEN_TEXT, Extracted, Limits, SectionWriter, not_what_it_says, sensible_title, squeeze
from ingest.loaders.encoding import known_encoding
from ingest.loaders.hidden_text.rtf import without_hidden
from ingest.loaders.zip_container import DOCX, OLD_OFFICE, begins_with, old_office_error

_BINARY = re.compile(rb"\\bin(\d{1,9}) ?")
_CODE_PAGE = re.compile(rb"\\ansicpg(\d{1,5})")
_TITLE = re.compile(r"\{\\title ([^{}]*)\}")
_HEADING_STYLE = re.compile(r"\{\\s(\d{1,4})\b[^{}]*(?:\{[^{}]*\}[^{}]*)*?\bheading ([1-9]);\s*\}", re.IGNORECASE)
_STYLE = re.compile(r"(\\s(\d{1,4}))(?![\d])")
_BRACE = re.compile(r"\\[\\{}]|\{(?:\\\*)?\s*\\(footnote|shptxt|fldinst|pict|object|stylesheet)(?![a-z])|[{}]")
# Marks a group that may be skipped; elsewhere old writers put it in vain.
_STAR = re.compile(r"(\{\s*+\\\*)|(?<!\\)\\\*")
_KEPT = frozenset({"footnote", "shptxt"})  # the library drops them; they are put at the end of the text
_SYMBOL_BULLET = "\uf0b7"  # the place of "•" in fonts of symbols
_MARKS = "".join(map(chr, range(0xE000, 0xE00A)))  # private characters: a heading of level 1 to 9 begins here


def load_rtf(path: Path, name: str, limits: Limits) -> Extracted:
    """One section per heading, footnotes and text boxes at the end. Raises UnreadableDocument when it is no RTF."""
    if begins_with(OLD_OFFICE, path):
        raise old_office_error(path, name, DOCX)
    data = path.read_bytes()
    if not data.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"{\\rtf"):
        raise not_what_it_says(name, "rich text (RTF)")
    declared = _CODE_PAGE.search(data)
    encoding = known_encoding(f"cp{declared[1].decode()}") if declared else None
    complete = _without_binary(data).decode(encoding or "cp1252", "replace")
    complete = _STAR.sub(lambda star: star[1] or "", complete)
    source = without_hidden(complete)
    levels = {number: int(level) for number, level in _HEADING_STYLE.findall(source)}
    text = _text(source, levels)
    first_heading = ""
    writer = SectionWriter()
    for line in text.split("\n"):
        level = next((_MARKS.index(character) for character in line if character in _MARKS), 0)
        words = squeeze(line.translate(dict.fromkeys(map(ord, _MARKS))))
        if level and words:
            writer.enter(level, words)
            first_heading = first_heading or sensible_title(words)
        if words.endswith("|"):
            words = " | ".join(map(str.strip, words[:-1].split("|")))
        if words:
            writer.write(words)
    writer.finish()
    title = _TITLE.search(source)
    replaced = text.count("\ufffd")
    notices = [f"{replaced} characters could not be decoded and were replaced."] if replaced else []
    if source != complete and text != _text(
        complete, levels
    ):  # what is hidden may be what is no text, such as an index
        notices.append(HIDDEN_TEXT)
    return Extracted(
        title=(sensible_title(_plain("{\\rtf1 " + title[1])) if title else "") or first_heading,
        sections=writer.sections,
        notice=" ".join(notices),
    )


def _text(source: str, levels: dict[str, int]) -> str:
    """The text of a document, a private character before each heading; footnotes and text boxes at the end."""
    body, moved = _split(source)
    return _plain(_mark_headings(body, levels) + "".join(f"\\par\\pard {group}" for group in moved))


def _without_binary(data: bytes) -> bytes:
    """The file without pictures in bytes, which may hold anything, braces too."""
    parts = []
    position = 0
    while found := _BINARY.search(data, position):
        parts.append(data[position : found.start()])
        position = found.end() + int(found[1])
    return b"".join((*parts, data[position:]))


def _split(source: str) -> tuple[str, list[str]]:
    """The document (without its last brace) free of what is not its running text, and groups that are to be kept."""
    kept: list[str] = []
    parts: list[str] = []
    position = depth = 0
    start_depth = end_of_command = 0
    command = ""
    for token in _BRACE.finditer(source):
        if token[0][0] == "\\":
            continue
        if token[0] == "}":
            depth -= 1
            if command and depth == start_depth:
                if command in _KEPT:
                    kept.append("{" + source[end_of_command : token.end()])
                position, command = token.end(), ""
            elif depth <= 0 and not command:
                return "".join((*parts, source[position : token.start()])), kept
            continue
        if token[1] and not command:
            parts.append(source[position : token.start()])
            command, start_depth, end_of_command = token[1], depth, token.end()
        depth += 1
    return "".join((*parts, source[position:] if not command else "")), kept


def _mark_headings(body: str, levels: dict[str, int]) -> str:
    def mark(style: re.Match[str]) -> str:
        level = levels.get(style[2])
        return f"{style[1]}{_MARKS[level]}" if level else style[1]

    return _STYLE.sub(mark, body) if levels else body


def _plain(rtf: str) -> str:
    from striprtf.striprtf import rtf_to_text

    text: str = rtf_to_text(rtf + "}", errors="replace")  # type: ignore[no-untyped-call]
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # characters written as two halves
    return text.replace(_SYMBOL_BULLET, "•")
