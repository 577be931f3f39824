"""The commands `rag ask`, `rag summarize` and `rag models`: what asks a language model from the terminal."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import click

from rag.answering.modes.request import MODES, Mode
from rag.cli.options import selection_options
from rag.cli.runner import debug_option
from rag.operations.server_client import find_server, require_index
from rag.settings import load_settings

if TYPE_CHECKING:
    from rag.answering.engine import ChatEngine
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
    asyncio.run(_print_answer(_events(question, mode, models, collection, selection)))


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
    asyncio.run(_print_answer(_events(_SUMMARIZE, "summarize", models, collection, selection)))


async def _events(
    question: str, mode: Mode | None, models: tuple[str, ...], collection: str, selection: Selection
) -> AsyncGenerator[Event, None]:
    """The events of the answer, from the server if one runs."""
    from rag.types.documents import Message

    messages = [Message("user", question)]
    settings = load_settings()
    server = find_server(settings)
    if server is not None:
        async with aclosing(server.ask(messages, collection, selection, mode, models)) as events:
            async for event in events:
                yield event
        return
    require_index(settings)
    from rag.answering.modes.dispatch import ask as answered
    from rag.answering.modes.request import Request
    from rag.answering.personas import addressed, read_roles
    from rag.operations.services import open_engine, open_models, open_storage
    from rag.storage.selection import scope_of

    with open_storage(settings) as storage, open_models(settings) as opened:
        engine = open_engine(settings, storage, opened)

        def engine_with(model: str) -> ChatEngine:
            return replace(engine, model=opened.get(model))

        request = Request(messages, scope_of(storage.index.catalog, collection, selection), models=models)
        request = addressed(request, collection, read_roles(opened.file), mode)
        async with aclosing(answered(request, engine_with, opened.file)) as events:
            async for event in events:
                yield event


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
                compared = True
                if isinstance(event.event, AnswerCompleted):
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
    problems = 0
    for speed in _measured():
        click.echo(json.dumps(asdict(speed), ensure_ascii=False) if as_json else _speed_line(speed))
        problems += bool(speed.problem)
    server = find_server(load_settings())
    if server is not None and not as_json and (told := server.route_shares().told()):
        click.echo(told)
    return 1 if problems else 0


def _measured() -> Iterator[Speed]:
    settings = load_settings()
    server = find_server(settings)
    if server is not None:
        yield from server.models()
        return
    from rag.models.benchmark import measure_all
    from rag.operations.services import open_models

    with open_models(settings) as opened, asyncio.Runner() as runner:
        speeds = measure_all(opened)
        while (speed := runner.run(anext(speeds, None))) is not None:
            yield speed


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
