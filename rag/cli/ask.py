"""The commands `rag ask`, `rag summarize` and `rag models`: what asks a language model from the terminal."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from rag.answering.modes.request import MODES, Mode
from rag.cli.options import selection_options
from rag.cli.runner import debug_option, load_settings
from rag.operations.backend import open_backend

if TYPE_CHECKING:
    from rag.models.benchmark import Speed
    from rag.storage.selection import Selection
    from rag.types.documents import Answer, Event

_SUMMARIZE = "Summarize what this says."
_CLEAR_LINE = "\r\x1b[K"

collection_option = click.option(
    "--collection", default="default", show_default=True, metavar="NAME", help="The set of documents to ask."
)
models_option = click.option(
    "--model", "models", multiple=True, metavar="NAME", help="The model to ask; repeated, for --mode compare."
)


@click.command()
@click.argument("question")
@click.option(
    "--mode", type=click.Choice(MODES), help="How to answer: docs/models.md tells what each does.  [default: documents]"
)
@models_option
@collection_option
@selection_options
@debug_option
def ask(question: str, mode: Mode | None, models: tuple[str, ...], collection: str, selection: Selection) -> None:
    """Answer a question from the documents.

    \b
    rag ask "When is payday?"
    rag ask "What was the profit?" --document report.pdf --pages 40-60
    rag ask "Who may cancel?" --where department=legal --where "year>=2021"
    rag ask "Who may cancel?" --mode compare --model small --model large
    """
    _answer(question, collection, selection, mode, models)


@click.command()
@models_option
@collection_option
@selection_options
@debug_option
def summarize(models: tuple[str, ...], collection: str, selection: Selection) -> None:
    """Summarize documents: all of what is chosen is read, and the summary names the pages.

    \b
    rag summarize --document report.pdf
    rag summarize --document report.pdf --pages 40-60
    """
    _answer(_SUMMARIZE, collection, selection, "summarize", models)


def _answer(question: str, collection: str, selection: Selection, mode: Mode | None, models: tuple[str, ...]) -> None:
    from rag.operations.control_protocol import AskRequest
    from rag.types.documents import Message

    request = AskRequest(
        messages=[Message("user", question)], collection=collection, selection=selection, mode=mode, models=models
    )
    with open_backend(load_settings()) as backend:
        asyncio.run(_print_answer(backend.ask(request)))


async def _print_answer(events: AsyncGenerator[Event, None]) -> None:
    """Progress goes to a line of the terminal that is written over; of several models each answer comes whole."""
    from rag.types.documents import AnswerCompleted, Candidate, Progress, TextDelta

    compared = False
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Progress):
                _show_progress(f"{event.doing} ({event.done} of {event.total})" if event.total else event.doing)
                continue
            _show_progress("")
            if isinstance(event, Candidate):
                compared = compared or isinstance(event.event, TextDelta)  # else it is a draft
                if compared and isinstance(event.event, AnswerCompleted):
                    click.secho(f"{event.model}:", bold=True)
                    click.echo(event.event.answer.text)
                    _print_footnotes(event.event.answer)
                    click.echo()
            elif isinstance(event, TextDelta) and not compared:
                click.echo(event.text, nl=False)
            elif isinstance(event, AnswerCompleted) and not compared:
                click.echo()
                _print_footnotes(event.answer)


def _show_progress(text: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"{_CLEAR_LINE}{' '.join(text.split())[:100]}", nl=False, err=True)


def _print_footnotes(answer: Answer) -> None:
    if answer.citations:
        click.echo()
    for citation in answer.citations:
        place = f", page {citation.page_label}" if citation.page_label else ""
        heading = f", {citation.heading}" if citation.heading else ""
        click.echo(f"[{citation.number}] {citation.title}{place}{heading} ({citation.source})")
    if answer.citations:
        click.echo(f"Answered by {answer.model}.")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@debug_option
def models(as_json: bool) -> int:
    """Ask every language model for some words: whether it answers, how much it reads, and how fast it is.

    Exit code 1 if one cannot be asked.
    """
    with open_backend(load_settings()) as backend:
        problems = asyncio.run(_print_speeds(backend.measure_models(), as_json))
        if not as_json and (shares := backend.route_shares().told()):
            click.echo(shares)
    return 1 if problems else 0


async def _print_speeds(speeds: AsyncGenerator[Speed, None], as_json: bool) -> int:
    """Show how fast each model is as it comes; how many could not be asked."""
    problems = 0
    async for speed in speeds:
        click.echo(json.dumps(asdict(speed), ensure_ascii=False) if as_json else _speed_line(speed))
        problems += bool(speed.problem)
    return problems


def _speed_line(speed: Speed) -> str:
    if speed.problem:
        return f"{speed.name}: {click.style('not reachable', fg='red')}: {speed.problem}"
    if not speed.context_window:
        return f"{speed.name}: {speed.description}"
    first = "no word came" if speed.first_token is None else f"first word after {_seconds(speed.first_token)}"
    rate = "" if speed.tokens_per_second is None else f", {speed.tokens_per_second:,.0f} tokens/s"
    return f"{speed.name}: reachable, reads {speed.context_window:,} tokens, {first}{rate}"


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
