"""The command `rag eval`: measures questions, sweeps over settings, or drafts questions; libraries load when needed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from rag.cli.options import selection_options
from rag.cli.runner import debug_option, load_settings
from rag.errors import Conflict, InvalidRequest
from rag.operations.backend import open_backend, require_index

if TYPE_CHECKING:
    from rich.table import Table

    from rag.evaluation.baseline import Baseline, Change
    from rag.evaluation.report import Evaluation
    from rag.evaluation.run import Outcome
    from rag.evaluation.sweep import Comparison, Verdict
    from rag.settings import Settings
    from rag.storage.selection import Selection

_Item = TypeVar("_Item")
_PATH = click.Path(path_type=Path)


@click.command("eval")
@click.argument("questions", required=False, type=_PATH)
@click.option("--collection", default="default", show_default=True, metavar="NAME", help="The set of documents to ask.")
@click.option("--answers", is_flag=True, help="Have the model answer every question, too, and measure the answers.")
@click.option("--html", metavar="FILE", type=_PATH, help="Write a page with plots and the failed questions.")
@click.option("--json", "json_", metavar="FILE", type=_PATH, help="Write the figures, for --baseline or a program.")
@click.option("--baseline", metavar="FILE", type=_PATH, help="Exit code 1 if a measure is worse than in this --json.")
@click.option(
    "--tolerance", default=0.02, show_default=True, type=click.FloatRange(0, 1), help="How much worse may pass."
)
@click.option(
    "--sweep",
    multiple=True,
    metavar="SETTING=VALUES",
    help="Ask with other values of a retrieval setting, as dense_weight=.3,.5,.7, and say whether one pays; repeated: "
    "all combinations.",
)
@click.option(
    "--draft", metavar="FILE", type=_PATH, help="Instead, write questions about the documents into a new file."
)
@click.option("--number", default=20, show_default=True, type=click.IntRange(1), help="How many questions to draft.")
@click.option("--seed", default=0, show_default=True, type=int, help="Another number drafts from other passages.")
@selection_options
@debug_option
def evaluate(
    questions: Path | None,
    collection: str,
    selection: Selection,
    answers: bool,
    html: Path | None,
    json_: Path | None,
    baseline: Path | None,
    tolerance: float,
    sweep: tuple[str, ...],
    draft: Path | None,
    number: int,
    seed: int,
) -> int:
    """Measure how well your questions are answered from your documents.

    \b
    rag eval questions.jsonl                                  a table of figures
    rag eval questions.jsonl --html report.html               … with plots and what went wrong
    rag eval questions.jsonl --answers                        the model's answers, too
    rag eval questions.jsonl --document manual.pdf            asked of a part of the collection
    rag eval questions.jsonl --json figures.json              for the next line
    rag eval questions.jsonl --baseline figures.json          exit code 1 if something got worse
    rag eval --draft questions.jsonl --number 20              questions to begin with, by the model
    rag eval questions.jsonl --sweep dense_weight=.3,.5,.7    which value of a setting pays on your documents
    rag eval questions.jsonl --sweep max_passages=4,8 --sweep dense_weight=.4,.6    all combinations

    QUESTIONS holds one JSON object a line, or is a .csv with these columns; only `question` is needed:

    \b
    {"question": "How long is the warranty?", "document": "manual.pdf", "page": "12", "answer": "two years"}
    {"question": "Who may sign?", "document": ["rules.md", "staff.md"], "text": "signed by two directors"}
    {"question": "What does the moon weigh?", "answerable": false}
    {"question": "How long is the warranty?", "without": "manual.pdf", "answerable": false}

    \b
    id          a name for the question; its line if there is none
    document    where the evidence is: file name, source or id; may be a list
    page        printed label, or place counted from 1; may be a list (one document, or as many)
    record_id   a record of the document; may be a list
    text        words that must be found, as they stand there
    answer      the answer's words; a list where any will do
    answerable  false where the documents do not tell
    without     a document that is left out for this question; may be a list

    In a .csv, several documents, pages or records stand in one cell, separated by `;`.

    A sweep compares each value with the one that is set, question by question. "pays" or "does not pay" where a
    difference is more than chance (a paired randomization test, at 5 % for all values together), "cannot be told" where
    it takes more questions. It changes nothing: write what pays into .env, as RAG_RETRIEVAL__DENSE_WEIGHT=0.3.
    """
    if (questions is None) == (draft is None):
        raise InvalidRequest("Give either a file of questions or --draft FILE.", hint="`rag eval --help` shows both.")
    settings = load_settings()
    if draft is not None:
        _draft(settings, collection, selection, draft, number, seed)
        return 0
    assert questions is not None
    if sweep:
        if html or json_ or baseline:
            raise InvalidRequest("A sweep prints a table and no more.", hint="Leave out --html, --json and --baseline.")
        _sweep(settings, collection, selection, questions, sweep, with_answers=answers)
        return 0
    _require_outputs(questions, baseline, html, json_)
    from rag.evaluation.baseline import read_baseline

    before = None if baseline is None else read_baseline(baseline)
    evaluation = _evaluation(settings, collection, selection, questions, with_answers=answers)
    if json_ is not None:
        from rag.evaluation.report import to_json

        json_.write_text(json.dumps(to_json(evaluation), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    if html is not None:
        from rag.evaluation.report_html import report_page

        html.write_text(report_page(evaluation, questions.name), encoding="utf-8")
    return _show(evaluation, before, tolerance)


def _require_outputs(questions: Path, baseline: Path | None, html: Path | None, json_: Path | None) -> None:
    """Raises InvalidRequest where an output could not be written, or would replace the questions or the other one."""
    for path in (html, json_):
        if path is not None:
            _require_folder(path)
            if _is_same(path, questions):
                raise InvalidRequest(f"{path} holds the questions.", hint="Name another file: they would be lost.")
    if html is not None and json_ is not None and _is_same(html, json_):
        raise InvalidRequest(f"--html and --json both name {html}.", hint="Give each its own file.")
    if html is not None and baseline is not None and _is_same(html, baseline):
        raise InvalidRequest(f"{html} holds the baseline.", hint="Name another file for --html.")


def _is_same(path: Path, other: Path) -> bool:
    """Whether both name one file, also by a link."""
    if path.exists() and other.exists():
        return path.samefile(other)
    return path.resolve() == other.resolve()


def _require_folder(path: Path) -> None:
    """Raises InvalidRequest where a file could not be written: better now than when all is done."""
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise InvalidRequest(f"{path} cannot be written.", hint="Name a file in a folder that exists.")


def _evaluation(
    settings: Settings, collection: str, selection: Selection, path: Path, *, with_answers: bool
) -> Evaluation:
    from rag.evaluation.questions import read_questions
    from rag.evaluation.report import evaluate as figures_of
    from rag.evaluation.run import EvaluationRun
    from rag.storage.connect import open_catalog

    file = read_questions(path)
    threshold = settings.retrieval.min_relevance
    require_index(settings)
    # the catalog is read also while a server owns the folder
    with open_backend(settings) as backend, closing(open_catalog(settings.storage)) as catalog:
        run = EvaluationRun(backend, catalog, collection, threshold, selection, with_answers)
        outcomes = list(_followed(run.outcomes(file.questions), "Asking", len(file.questions)))
    if file.unknown_columns:
        click.echo(f"note    not known and passed over: {', '.join(file.unknown_columns)}", err=True)
    for outcome in outcomes:
        for name in outcome.unknown:
            click.echo(f"note    line {outcome.question.line}: not in the collection: {name}", err=True)
    return figures_of(collection, threshold, outcomes, selection)


def _sweep(
    settings: Settings, collection: str, selection: Selection, path: Path, texts: Sequence[str], *, with_answers: bool
) -> None:
    """Ask all questions under each of the settings, over one open index, and print what pays."""
    from rich.console import Console

    from rag.evaluation.questions import read_questions
    from rag.evaluation.run import EvaluationRun
    from rag.evaluation.sweep import Variant, compare_variants, outcomes_in_turns, read_sweep
    from rag.operations.local_backend import LocalBackend
    from rag.operations.services import Services

    questions = read_questions(path).questions
    variants = [Variant("as set", settings), *read_sweep(texts, settings)]
    with Services(settings) as services:
        runs = [
            EvaluationRun(
                LocalBackend(services.under(variant.settings)),
                services.catalog,
                collection,
                variant.settings.retrieval.min_relevance,
                selection,
                with_answers,
            )
            for variant in variants
        ]
        asked = list(_followed(outcomes_in_turns(runs, questions), "Asking", len(questions)))
    current, *others = zip(*asked, strict=True)
    console = Console(highlight=False, markup=False)
    console.print(f"Collection {collection}, {len(questions)} questions. As set: {_milliseconds(current)}.")
    for variant, comparisons, outcomes in zip(variants[1:], compare_variants(current, others), others, strict=True):
        console.print(f"\n{variant.name}: {_milliseconds(outcomes)}.")
        differing = [comparison for comparison in comparisons if comparison.differing]
        console.print(_comparison_table(differing) if differing else "does not pay: all questions fare alike")


def _milliseconds(outcomes: Sequence[Outcome]) -> str:
    from rag.evaluation.metrics import percentile

    times = [outcome.milliseconds for outcome in outcomes]
    return f"a search {percentile(times, 0.5):.1f} ms (median), 95 % at most {percentile(times, 0.95):.1f} ms"


def _comparison_table(comparisons: Sequence[Comparison]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table("measure", "as set", "now", "chance", "")
    for column in table.columns[1:4]:
        column.justify = "right"
    styles: dict[Verdict, str] = {"pays": "bold green", "does not pay": "bold red", "cannot be told": ""}
    for comparison in comparisons:
        verdict = comparison.verdict
        amount = f" with {comparison.questions} questions" if verdict == "cannot be told" else ""
        table.add_row(
            comparison.measure.label,
            f"{comparison.before:.3f}",
            f"{comparison.now:.3f}",
            f"{comparison.chance:.3f}",
            Text(verdict + amount, style=styles[verdict]),
        )
    return table


def _show(evaluation: Evaluation, before: Baseline | None, tolerance: float) -> int:
    """Print the figures; 1 if one is worse than before, else 0."""
    from rich.console import Console

    from rag.evaluation.baseline import compare, differences

    console = Console(highlight=False, markup=False)  # names may hold brackets
    console.print(_opening_words(evaluation))
    if before is None:
        console.print(_figures_table(evaluation))
        console.print(_closing_words(evaluation))
        return 0
    for difference in differences(before, evaluation):
        console.print(f"note    {difference}")
    changes = compare(before.figures, evaluation.figures, tolerance)
    worse = sum(change.is_worse for change in changes)
    console.print(_changes_table(changes))
    console.print(_closing_words(evaluation))
    console.print(f"{worse or 'No'} measures are worse than the baseline by more than {tolerance:g}.")
    return 1 if worse else 0


def _opening_words(evaluation: Evaluation) -> str:
    """What was asked, and who answered."""
    from rag.storage.selection import as_typed

    unanswerable = sum(not outcome.question.is_answerable for outcome in evaluation.outcomes)
    part = as_typed(evaluation.selection)
    words = f"Collection {evaluation.collection}{part and f' ({part})'}, {len(evaluation.outcomes)} questions"
    words += f", {unanswerable} of them unanswerable" if unanswerable else ""
    return f"{words}; answers by {evaluation.model}" if evaluation.model else words


def _figures_table(evaluation: Evaluation) -> Table:
    from rich.table import Table

    from rag.evaluation.report import MEASURES

    table = Table("measure", "value", "questions")
    table.columns[1].justify = table.columns[2].justify = "right"
    for measure in MEASURES:
        if figure := evaluation.figures.get(measure.name):
            table.add_row(measure.label, f"{figure.value:.3f}", str(figure.questions))
    return table


def _changes_table(changes: Sequence[Change]) -> Table:
    """Every measure before and now; those that fell by more than the tolerance are marked."""
    from rich.table import Table
    from rich.text import Text

    table = Table("measure", "before", "now", "change", "")
    for column in table.columns[1:4]:
        column.justify = "right"
    for change in changes:
        before, now = change.before, change.now
        verdict = "worse" if before and now else "not measured now"
        table.add_row(
            change.measure.label,
            f"{before.value:.3f}" if before else "",
            f"{now.value:.3f}" if now else "",
            f"{now.value - before.value:+.3f}" if before and now else "",
            Text(verdict, style="bold red") if change.is_worse else Text(""),
        )
    return table


def _closing_words(evaluation: Evaluation) -> str:
    """How long searches took, and how many questions failed."""
    from rag.evaluation.report import failures

    failed = sum(bool(failures(outcome)) for outcome in evaluation.outcomes)
    latency = evaluation.latency
    return (
        f"A search took {latency.p50:.1f} ms (median), 95 % at most {latency.p95:.1f} ms. "
        f"{failed} of {len(evaluation.outcomes)} questions failed in some way."
    )


def _draft(settings: Settings, collection: str, selection: Selection, path: Path, number: int, seed: int) -> None:
    """Write drafts into a new file; what was drafted before an interruption is kept."""
    from rag.evaluation.draft import ATTEMPTS, NEAR_MISS_EVERY, draft_questions, is_near_miss, pick_passages
    from rag.operations.services import Services

    if path.exists():
        raise Conflict(f"There is a file {path} already.", hint="Give another name: somebody may have edited it.")
    _require_folder(path)
    lines: list[str] = []
    kept = dropped = 0
    try:
        with Services(settings) as services, open_backend(settings) as backend:
            picks = islice(pick_passages(services.catalog, collection, seed, selection), ATTEMPTS * number)
            with closing(draft_questions(services.model, picks)) as drafts:
                for draft in _followed(drafts, "Drafting"):
                    if draft is None:
                        dropped += 1
                        continue
                    kept += 1
                    lines.append(draft.line(kept))
                    if kept % NEAR_MISS_EVERY == 0 and is_near_miss(draft, backend, collection, selection):
                        lines.append(draft.near_miss_line(kept))
                    if kept == number:
                        break
    finally:
        if lines:
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    into = f", and {len(lines) - kept} near misses, into {path}" if kept else ""
    click.echo(f"{kept} questions drafted{into}: read them before you use them.")
    if dropped:
        click.echo(f"{dropped} dropped: no new question, or an answer that is not literally in its passage.")


def _followed(items: Iterable[_Item], label: str, total: int | None = None) -> Iterator[_Item]:
    """The items, with a bar of progress on stderr that vanishes in the end."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        for item in items:
            yield item
            bar.advance(task)
