"""`rag feedback`: what users think of answers, and which of several models' answers they chose."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from rag.cli.runner import debug_option, load_settings
from rag.operations.backend import require_index

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rag.storage.feedback import Feedback, Vote

_SHOWN = 300  # characters of an answer


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, with whole answers and all passages.")
@debug_option
def feedback(*, as_json: bool) -> None:
    """Show what users think of answers: thumbs with their comments, and votes between models. Newest first.

    Works beside a running server. With an answer that was deleted, or whose document was, its feedback is gone.
    """
    from rag.storage.connect import open_catalog
    from rag.storage.feedback import Vote, list_feedback, list_votes

    settings = load_settings()
    require_index(settings)
    with closing(open_catalog(settings.storage)) as catalog:
        thumbs, votes = list_feedback(catalog.database), list_votes(catalog.database)
    items: list[Feedback | Vote] = [*thumbs, *votes]
    items.sort(key=lambda item: item.created_at, reverse=True)
    if not items and not as_json:
        click.echo("There is no feedback yet: the thumbs are under the chat's answers.")
    for item in items:
        if as_json:
            kind = "vote" if isinstance(item, Vote) else "feedback"
            click.echo(json.dumps({"kind": kind, **asdict(item)}, ensure_ascii=False))
        else:
            click.echo("\n".join(_description(item)) + "\n")


def _description(item: Feedback | Vote) -> Iterable[str]:
    from rag.storage.feedback import Vote

    if isinstance(item, Vote):
        yield f"{item.created_at}  {click.style('vote', bold=True)}  {item.chosen or 'none of them'}"
        yield f"  asked     {_shortened(item.question)}"
        for model, answer in item.answers.items():
            yield f"  {model}  {_shortened(answer)}"
        return
    opinion = click.style("good", fg="green") if item.is_good else click.style("bad", fg="red")
    yield f"{item.created_at}  {opinion}  by {item.user}{f': {_shortened(item.comment)}' if item.comment else ''}"
    yield f"  asked     {_shortened(item.question)}"
    yield f"  answered  {_shortened(item.answer)}"
    count = len(item.passages)
    yield f"  read      {count} passage{'' if count == 1 else 's'}"


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN].rpartition(' ')[0]} …"
