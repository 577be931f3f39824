"""Questions over whole tables: counts, sums, averages, extremes and filters are computed, and the rows are cited.

A simple question is read without a model (question.py). What that leaves, a model may put into a SELECT, which is
checked (query.py). Whatever cannot be computed with certainty is answered in the ordinary way.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from pathlib import PurePath

from rag.answering.citations import citation
from rag.answering.engine import ChatEngine, RetrievalResult
from rag.answering.generation import reply
from rag.answering.message_kinds import language_of
from rag.answering.prompts import WRITE_QUERY
from rag.answering.replies import reply_to
from rag.answering.tables.query import MOST_SHOWN, Query, Result, run, run_statement
from rag.answering.tables.question import Reader
from rag.answering.tables.table import NAME, Table, is_table, quoted, tables_of
from rag.answering.tables.values import Value, number_of
from rag.answering.tables.words import phrases, words_of
from rag.errors import RagError
from rag.models.llm import refresh_model
from rag.text.injection import addresses_assistant
from rag.text.markers import round_markers
from rag.types.documents import Answer, ChunksRetrieved, Document, Emit, Message, Passage, Scope, TextDelta, Usage

logger = logging.getLogger(__name__)

_MOST_DOCUMENTS = 4  # whose tables are looked at
_FEW = 50  # documents in the scope, of which all are looked at
_FIRST = 3  # hits: a table further down is not what the question is about
_LONGEST_ROW = 300  # characters shown
_STATEMENT_TOKENS = 300
_SAMPLES = 5  # values of a column that a model is told
_MOST_TOLD = 60  # columns
_FENCE = re.compile(r"```(?:sql)?\s*+(.*?)```", re.DOTALL | re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_DECIMAL_MARKS = {"en": ".", "de": ",", "fr": ",", "es": ","}
_GROUP_MARKS = {"en": ",", "de": ".", "fr": "\u202f", "es": "."}


async def answer_from_tables(
    engine: ChatEngine, scope: Scope, result: RetrievalResult, named: Collection[str], emit: Emit, *, ask_model: bool
) -> Answer | None:
    """The computed answer to the question of `result`; None where it asks nothing of a table, or nothing that is
    certain.

    `named` are the ids of the documents that it names. With `ask_model`, the model may write the query.
    """
    question = result.question
    documents = await asyncio.to_thread(_documents, engine, scope, result, named)
    if not documents:
        return None
    computed = await asyncio.to_thread(_read, engine, question, documents, named)
    if computed is None and ask_model and engine.model.llm is not None:
        computed = await _written(engine, question, documents[0], result)
    if computed is None:
        return None
    answer = await asyncio.to_thread(_answer, engine, question, *computed)
    emit(ChunksRetrieved(result.hits, answer.passages))
    emit(TextDelta(answer.text))
    return answer


_Computed = tuple[Document, Table, Query | None, Result, Usage]


def may_compute(question: str) -> bool:
    """Whether a question has a word for something that can be computed."""
    text = f" {' '.join(words_of(question))} "
    return any(f" {' '.join(phrase)} " in text for kind in ("operations", "extremes") for phrase in phrases(kind))


def _documents(engine: ChatEngine, scope: Scope, result: RetrievalResult, named: Collection[str]) -> list[Document]:
    """The tables that may be meant, likeliest first: those among the first hits, those named, and all there are where
    these are nothing but tables."""
    catalog = engine.retriever.index.catalog
    found = dict.fromkeys(hit.chunk.document_id for hit in result.hits[:_FIRST])
    latest, total = catalog.latest_documents(scope, _FEW)
    others = (
        [document.id for document in latest]
        if total <= _FEW and all(is_table(document.source) for document in latest)
        else []
    )
    ids = dict.fromkeys([*found, *others, *sorted(named)])
    documents = [document for document_id in ids if (document := catalog.find_document(document_id))]
    tables = [document for document in documents if is_table(document.source)]
    return tables if len(tables) <= _MOST_DOCUMENTS else []


def _read(engine: ChatEngine, question: str, documents: Sequence[Document], named: Collection[str]) -> _Computed | None:
    """What one of the tables, and only one, gives; of several that fit, the one that is named."""
    mark = _DECIMAL_MARKS[language_of(question)]
    found = [
        (document, table, query)
        for document in documents
        for table in tables_of(engine.retriever.index.catalog, document)
        if (query := Reader(table, _title(document, table)).read(question, mark))
    ]
    found = [fit for fit in found if fit[0].id in named] or found
    if len(found) != 1:
        return None
    document, table, query = found[0]
    result = run(table, query)
    return (document, table, query, result, Usage(0, 0)) if result else None


def _title(document: Document, table: Table) -> tuple[str, ...]:
    return words_of(" ".join([document.title, PurePath(document.source).stem, table.sheet]))


# ------------------------------------------------------------------------------------------------------ by a model


async def _written(engine: ChatEngine, question: str, document: Document, result: RetrievalResult) -> _Computed | None:
    """What the query gives that a model writes, over the table of the best hit."""
    best = result.passages[0] if result.passages else None
    tables = await asyncio.to_thread(tables_of, engine.retriever.index.catalog, document)
    if best is None or best.document_id != document.id:
        return None
    table = next((table for table in tables if any(s <= best.start < e for s, e in _ends(table))), None)
    if table is None:
        return None
    prompt = WRITE_QUERY.format(table=NAME, columns=await asyncio.to_thread(_schema, table))
    messages = [Message("system", prompt), Message("user", question)]
    try:
        model = await refresh_model(engine.model)
        written = await reply(model, messages, _STATEMENT_TOKENS)
    except RagError as error:
        logger.warning("The model wrote no query: %s", error)
        return None
    fenced = _FENCE.search(written.text)
    statement = (fenced[1] if fenced else written.text).strip()
    if not _numbers_are_in(statement, question):
        return None
    computed = await asyncio.to_thread(run_statement, table, statement)
    return (document, table, None, computed, written.usage) if computed else None


def _ends(table: Table) -> Iterable[tuple[int, int]]:
    """From the first to the last row, summary included where it is the only thing before them."""
    return [(max(0, table.starts[0] - 1100), table.ends[-1] + 1)] if table.starts else []


def _schema(table: Table) -> str:
    lines = []
    for column in table.columns[:_MOST_TOLD]:
        samples = ", ".join(repr(value)[:60] for value in table.distinct(column, _SAMPLES))
        kind = f"{column.kind}, in {column.unit}" if column.unit else column.kind
        lines.append(f"{quoted(column.name)} ({kind}): {samples}")
    return "\n".join(lines)


def _numbers_are_in(statement: str, question: str) -> bool:
    """Whether each number of the question stands in the statement."""
    mark = _DECIMAL_MARKS[language_of(question)]
    numbers = {number_of(figure, mark) for figure in _NUMBER.findall(question)}
    return numbers <= {float(figure) for figure in re.findall(r"\d+(?:\.\d+)?", statement)}


# ------------------------------------------------------------------------------------------------------ the answer


def _answer(
    engine: ChatEngine,
    question: str,
    document: Document,
    table: Table,
    query: Query | None,
    result: Result,
    usage: Usage,
) -> Answer:
    """The result, how it was understood, and the rows behind it, each with a footnote. Blocking."""
    say = partial(reply_to, question)
    passages = _passages(engine, document, table, result.records[:MOST_SHOWN])
    citations = tuple(citation(passage, 0, len(passage.text)) for passage in passages)
    count, shown = len(result.records), len(passages)
    lines = [*_outcome(question, query, result), ""]
    conditions = " · ".join(condition.text for condition in query.conditions) if query else ""
    counted = say("table_rows", count=count, total=len(table.starts), title=_plain(document.title))
    lines.append(f"{counted}: {_plain(conditions)}." if conditions else f"{counted}.")
    lines += ["", "```sql", result.sql.replace("```", "'''"), "```", ""]
    if shown < count:
        lines += [say("table_shown", shown=shown, count=count), ""]
    lines += [f"- {_plain(passage.text)} [{passage.number}]" for passage in passages]
    text = "\n".join(lines)
    return Answer(text, citations, passages, engine.model.name, found=True, finish_reason="stop", usage=usage)


def _outcome(question: str, query: Query | None, result: Result) -> list[str]:
    """The result in a line; of a statement, a line for each of its rows."""
    language = language_of(question)
    if query is None:
        return [f"**{_plain(' · '.join(_written_value(value, language) for value in row))}**" for row in result.rows]
    if query.operation in ("count", "list"):
        return [f"**{_number(len(result.records), 0, language)}**"]
    value = result.rows[0][0]
    column = query.column
    if isinstance(value, float) and column:
        places = column.decimals + 2 * (query.operation == "average")
        unit = f" {column.unit}" if column.unit else ""
        shown = _number(value, places, language) + unit
    else:
        shown = _written_value(value, language)
    name = _plain(column.name) if column else ""
    return [f"{reply_to(question, f'table_{query.operation}', column=name)} **{shown}**"]


def _written_value(value: Value, language: str) -> str:
    return _number(value, 4, language) if isinstance(value, float | int) else value or "–"


def _number(value: float, places: int, language: str) -> str:
    """A number as the language writes it, without idle zeros beyond two places."""
    whole, _, part = f"{value:,.{places}f}".partition(".")
    part = part[:2] + part[2:].rstrip("0")
    part = "" if not part.strip("0") else part
    marked = whole.replace(",", _GROUP_MARKS[language])
    return f"{marked}{_DECIMAL_MARKS[language]}{part}" if part else marked


def _plain(text: str) -> str:
    """Text of a document on one line, without what would be a footnote or Markdown in an answer."""
    line = round_markers(" ".join(text.split()))
    line = re.sub(r"[\\`*<>|]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", line)
    return line if len(line) <= _LONGEST_ROW else f"{line[:_LONGEST_ROW]} …"


def _passages(engine: ChatEngine, document: Document, table: Table, records: Sequence[int]) -> tuple[Passage, ...]:
    """The rows as they stand in the document."""
    text = engine.retriever.index.catalog.page_text(document.id, None)
    passages = []
    for number, record in enumerate(records, start=1):
        start, end = table.starts[record - 1], table.ends[record - 1]
        row = text[start:end]
        is_spoken_to = addresses_assistant(f"{document.title}\n{row}")
        place = (None, None, table.sheet, start, end)
        passages.append(Passage(number, document.id, document.title, document.source, *place, row, 1.0, is_spoken_to))
    return tuple(passages)
