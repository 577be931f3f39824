"""Jupyter notebooks (ipynb): cells in order under the headings of their Markdown, code fenced, outputs as text."""

from __future__ import annotations

import re
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any

from ingest.loaders.base import Extracted, HeadingPath, Limits, sensible_title, unreadable
from ingest.loaders.encoding import decode
from ingest.loaders.json import parse_json
from ingest.loaders.markdown import markdown_headings, without_comments
from rag.types.documents import Section

_LONGEST_OUTPUT = 2000  # characters; logs and printed arrays answer little
_TERMINAL_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_EMBEDDED_DATA = re.compile(r"data:[\w/+.-]+;base64,[A-Za-z0-9+/=\s]{64,}")


def load_ipynb(path: Path, name: str, limits: Limits) -> Extracted:
    """A section a heading; a section a cell where there are no headings. Raises UnreadableDocument when it is none."""
    text, notice = decode(path.read_bytes(), name)
    if not text.strip():
        return Extracted(title="", sections=[], notice=notice)
    cells, language = _cells(text, name)
    pieces: list[tuple[str, str]] = []  # heading, text
    path_of_headings = HeadingPath()
    title = heading = ""
    for number, cell in enumerate(cells, start=1):
        source = _joined(cell.get("source", cell.get("input")))
        kind = cell.get("cell_type")
        if kind == "code":
            code = f"```{language}\n{source.strip()}\n```\n\n" if source.strip() else ""
            pieces.append((heading or f"cell {number}", code + _outputs(cell)))
            continue
        source = _EMBEDDED_DATA.sub("", without_comments(source) if kind == "markdown" else source)
        if kind == "heading":  # notebooks of before 2015
            source = f"{'#' * (cell.get('level') or 1)} {source}"
        found = markdown_headings(source) if kind in ("markdown", "heading") else []
        bounds = [0, *(start for start, _, _ in found), len(source)]
        for index, (start, end) in enumerate(pairwise(bounds)):
            if index:
                _, level, words = found[index - 1]
                heading = path_of_headings.enter(level, words)
                title = title or (sensible_title(words) if level == 1 else "")
            if source[start:end].strip():
                pieces.append((heading or f"cell {number}", source[start:end].strip("\n") + "\n\n"))
    sections = [
        Section("".join(text for _, text in neighbours), heading=heading)
        for heading, neighbours in groupby((piece for piece in pieces if piece[1].strip()), key=itemgetter(0))
    ]
    return Extracted(title=title, sections=sections, notice=notice)


def _cells(text: str, name: str) -> tuple[list[dict[str, Any]], str]:
    """The cells, and the language of the code."""
    try:
        notebook = parse_json(text)
        sheets = notebook.get("worksheets") or [notebook]
        cells = [cell for sheet in sheets for cell in sheet["cells"] if isinstance(cell, dict)]
    except (ValueError, RecursionError, AttributeError, KeyError, TypeError) as error:
        raise unreadable(
            name,
            "is not a Jupyter notebook: it is damaged, or something else.",
            "Open it in Jupyter and save it again.",
        ) from error
    metadata = notebook.get("metadata")
    kernel = metadata.get("kernelspec") if isinstance(metadata, dict) else None
    language = kernel.get("language") if isinstance(kernel, dict) else None
    return cells, language if isinstance(language, str) else "python"


def _joined(source: Any) -> str:
    """Text, which notebooks store as such or as a list of lines."""
    if isinstance(source, list):
        return "".join(line for line in source if isinstance(line, str))
    return source if isinstance(source, str) else ""


def _outputs(cell: dict[str, Any]) -> str:
    """What a cell printed or returned, as text; pictures and the like are left out."""
    outputs = cell.get("outputs")
    texts = []
    for output in outputs if isinstance(outputs, list) else []:
        if not isinstance(output, dict):
            continue
        data = output.get("data", output)  # in old notebooks the formats stand in the output itself
        text = _joined(output.get("text"))
        if isinstance(data, dict) and not text:
            text = _joined(data.get("text/plain")) or _joined(data.get("text/markdown"))
        if output.get("output_type") in ("error", "pyerr"):
            text = f"{output.get('ename', 'Error')}: {output.get('evalue', '')}"
        text = _TERMINAL_CODES.sub("", text).strip("\n")
        if len(text) > _LONGEST_OUTPUT:
            text = text[:_LONGEST_OUTPUT] + " …"
        if text.strip():
            texts.append(text)
    return "".join(f"Output:\n{text}\n\n" for text in texts)
