"""Queries: what is computed of a table, in SQL and in plain words; and the statements of a model, checked.

Why SQLite: it is in the standard library, its authorizer allows reading of one table and nothing else, and its progress
handler stops what takes too long.
"""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from typing import Literal

from rag.answering.tables.table import NAME, Table, quoted
from rag.answering.tables.values import Column, Value

Operator = Literal["=", "<", ">", "<=", ">=", "between", "within"]
Operation = Literal["count", "distinct", "sum", "average", "max", "min", "list"]
MOST_SHOWN = 20  # rows

_FUNCTIONS = {"sum": "sum", "average": "avg", "max": "max", "min": "min"}
_LITERAL = re.compile(r"'(?:[^']|'')*'")
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')
_LONGEST = 2_000  # characters of a statement
_STATEMENT = re.compile(  # white space is single spaces
    rf"SELECT (?P<what>(?:(?! FROM )[^;])++) FROM \"?{NAME}\"?"  # noqa: S608  (a pattern)
    r"(?P<where> WHERE (?:(?! GROUP BY | ORDER BY | LIMIT )[^;])++)?"
    r"(?P<group> GROUP BY (?:(?! ORDER BY | LIMIT )[^;])++)?"
    r"(?P<order> ORDER BY (?:(?! LIMIT )[^;])++)?(?P<limit> LIMIT \d+)?",
    re.IGNORECASE,
)
_ONLY_ONCE = re.compile(
    r"\b(?:SELECT|FROM|WHERE|UNION|INTERSECT|EXCEPT|JOIN|WITH|HAVING|OFFSET|OVER)\b|--|/\*", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Condition:
    """A column compared with values: `=` is one of them, `between` has two (both included), `within` the two ends of a
    period, the second not included. `text` says it as the user reads it."""

    column: Column
    operator: Operator
    values: tuple[str | float, ...]
    text: str

    @property
    def sql(self) -> str:
        """It as SQL."""
        name, values = quoted(self.column.name), [_literal(value) for value in self.values]
        if self.operator == "=":
            return f"{name} = {values[0]}" if len(values) == 1 else f"{name} IN ({', '.join(values)})"
        if self.operator == "between":
            return f"{name} BETWEEN {values[0]} AND {values[1]}"
        if self.operator == "within":
            return f"{name} >= {values[0]} AND {name} < {values[1]}"
        return f"{name} {self.operator} {values[0]}"


@dataclass(frozen=True, slots=True)
class Query:
    """What is computed: of which column (none for `count` and `list`), of the rows that fulfil all conditions."""

    operation: Operation
    column: Column | None = None
    conditions: tuple[Condition, ...] = ()

    @property
    def where(self) -> str:
        """The conditions as SQL; a column that is computed must have a value."""
        parts = [condition.sql for condition in self.conditions]
        parts += [f"{quoted(self.column.name)} IS NOT NULL"] if self.column else []
        return f" WHERE {' AND '.join(parts)}" if parts else ""

    @property
    def sql(self) -> str:
        """The statement."""
        name = quoted(self.column.name) if self.column else "*"
        match self.operation:
            case "list":
                what = "*"
            case "count":
                what = "count(*)"
            case "distinct":
                what = f"count(DISTINCT {name})"
            case operation:
                what = f"{_FUNCTIONS[operation]}({name})"
        return f"SELECT {what} FROM {NAME}{self.where}"  # noqa: S608  (names and literals are quoted)


@dataclass(frozen=True, slots=True)
class Result:
    """What came out: the rows of the statement, and the rowids of the records that it rests on."""

    sql: str
    rows: tuple[tuple[Value, ...], ...]
    records: tuple[int, ...]


def run(table: Table, query: Query) -> Result | None:
    """Compute it; None where it takes too long, or no row is behind it."""
    where = query.where
    try:
        rows = [] if query.operation == "list" else table.run(query.sql)
        if query.operation in ("max", "min") and query.column:
            where += f" AND {quoted(query.column.name)} = {_literal(rows[0][0])}"
        return _with_records(table, query.sql, rows, where)
    except sqlite3.Error:
        return None


def run_statement(table: Table, statement: str) -> Result | None:
    """What a SELECT gives that somebody else wrote; None where it is not one simple SELECT over known columns, where it
    cannot be run, or where no row is behind it."""
    sql = statement.strip().rstrip("; \n")
    bare = _LITERAL.sub(lambda literal: "'" + "x" * (len(literal[0]) - 2) + "'", sql)
    bare = _QUOTED.sub(lambda name: '"' + "x" * (len(name[0]) - 2) + '"', bare).replace(
        f'"{"x" * len(NAME)}"', f'"{NAME}"'
    )
    match = _STATEMENT.fullmatch(" ".join(bare.split())) if len(bare) <= _LONGEST else None
    words = [word.upper() for word in _ONLY_ONCE.findall(bare)]
    known = {column.name.lower() for column in table.columns} | {NAME}
    named = [name.replace('""', '"').lower() for name in _QUOTED.findall(_LITERAL.sub("''", sql))]
    aliases = {name.lower() for name in re.findall(r'\bAS\s+"([^"]+)"', sql, re.IGNORECASE)}
    if match is None or len(words) != len(set(words)) or not {"SELECT", "FROM", "WHERE"}.issuperset(words):
        return None
    if not known.union(aliases).issuperset(named):  # SQLite would take what it does not know for a text
        return None
    parts = {part: sql[match.start(part) : match.end(part)] if match[part] else "" for part in match.groupdict()}
    of_records = parts["where"] + ("" if parts["group"] else parts["order"] + parts["limit"])
    if parts["what"].count("(") and not parts["group"]:
        of_records = parts["where"]
    try:
        rows = table.run(sql, most_rows=MOST_SHOWN)
        is_empty = not rows or all(value is None for value in rows[0])
        return None if is_empty else _with_records(table, sql, rows, of_records)
    except sqlite3.Error:
        return None


def _with_records(table: Table, sql: str, rows: list[tuple[Value, ...]], where: str) -> Result | None:
    """The result with the records that fulfil `where`; None where there are none."""
    records = table.run(f"SELECT rowid FROM {NAME}{where}")  # noqa: S608  (the statement was checked)
    return Result(sql, tuple(rows), tuple(int(str(record)) for (record,) in records)) if records else None


def _literal(value: str | float | None) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value).removesuffix(".0")
