"""What stands over a sheet of a workbook (xlsx and its kin): comments on cells, text boxes, titles of charts."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ingest.loaders.base import squeeze
from ingest.loaders.drawing_ml import chart_title, paragraphs

if TYPE_CHECKING:
    from lxml.etree import _Element

    from ingest.loaders.zip_container import Archive


def sheet_notes(archive: Archive, member: str) -> list[str]:
    """A line for each, in the order of the file; `member` is the part that holds the sheet. What is broken is passed
    over."""
    return list(dict.fromkeys(filter(None, _lines(archive, member))))


def _lines(archive: Archive, member: str) -> Iterator[str]:
    for kind, target in _related(archive, member):
        if kind in ("comments", "threadedComment"):
            for comment in _parsed(archive, target).iter("{*}comment", "{*}threadedComment"):
                text = squeeze("".join(comment.itertext()))
                yield f"Comment on {comment.get('ref', 'a cell')}: {text}" if text else ""
        elif kind == "drawing":
            yield from paragraphs(_parsed(archive, target))
            for part, chart in _related(archive, target):
                title = chart_title(_parsed(archive, chart)) if part == "chart" else ""
                yield f"Chart: {title}" if title else ""


def _related(archive: Archive, member: str) -> Iterator[tuple[str, str]]:
    """The parts that a part refers to, each with the kind it is of."""
    folder, name = posixpath.split(member)
    relations = f"{folder}/_rels/{name}.rels"
    if relations not in archive:
        return
    for relation in _parsed(archive, relations):
        target = posixpath.normpath(posixpath.join(folder, relation.get("Target", ""))).lstrip("/")
        if target in archive:
            yield relation.get("Type", "").rpartition("/")[2], target


def _parsed(archive: Archive, member: str) -> _Element:
    return archive.xml(member, lenient=True)
