"""The options `--document`, `--where`, `--filter`, `--pages`: the part of a collection that a command is put to."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from typing import Any

import click

from rag.errors import InvalidRequest


def selection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command these options; it gets what they say as `selection`."""

    @click.option(
        "--document",
        "documents",
        multiple=True,
        metavar="NAME",
        help="Only this document: id, path or file name; may be repeated.",
    )
    @click.option(
        "--where",
        "comparisons",
        multiple=True,
        metavar="COMPARISON",
        help="Only documents with such an attribute, as year>=2021 or department=legal; repeated: all must be true.",
    )
    @click.option("--filter", "filters", metavar="JSON", help="The same in OpenAI's grammar, with and, or, in.")
    @click.option("--pages", metavar="FIRST-LAST", help="Only these pages, counted from 1, such as 3-7.")
    @functools.wraps(command)
    def with_selection(
        *arguments: object,
        documents: tuple[str, ...],
        comparisons: tuple[str, ...],
        filters: str | None,
        pages: str | None,
        **options: object,
    ) -> object:
        from rag.storage.filters import joined, read_where
        from rag.storage.selection import Selection, read_pages

        conditions = [read_where(comparison) for comparison in comparisons]
        if filters is not None:
            conditions.append(_filter(filters))
        selection = Selection(
            tuple(map(_name, documents)) or None,
            joined(conditions),
            None if pages is None else read_pages(pages),
        )
        return command(*arguments, selection=selection, **options)

    return with_selection


def _name(name: str) -> str:
    """A path is meant from the folder the command runs in, which the server does not know."""
    return os.path.abspath(name) if os.sep in name else name  # noqa: PTH100  (keeps links, as `ingest` does)


def _filter(text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(
            f"The filter is no JSON: {error}.",
            hint='It looks like {"type": "gte", "key": "year", "value": 2021}, in single quotes for the shell.',
        ) from error
    if not isinstance(content, dict):
        raise InvalidRequest("The filter must be an object.", hint="It begins with { and ends with }.")
    return content
