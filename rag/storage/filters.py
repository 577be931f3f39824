"""Filters over the attributes of documents, in OpenAI's grammar: read, and turned into a condition of SQL.

    {"type": "gte", "key": "year", "value": 2021}
    {"type": "and", "filters": [{"type": "in", "key": "department", "value": ["legal", "finance"]}, …]}

Values are compared as what they are: a number never equals a text, nor `true` the number 1. Texts are ordered by their
characters, so that dates written as 2024-03-01 are in order; true and false have none. Of a document that lacks the
key, `ne` and `nin` are true, being the opposites of `eq` and `in`, and everything else is false.

Some attributes every document has: `source`, `title`, `file_name`, `media_type`, `pages`, and in seconds since 1970
`created_at` (when it was first taken in) and `modified_at` (of its file). One of that name that was given to it counts
instead.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, cast, get_args

from rag.errors import InvalidRequest
from rag.storage.attributes import check_key, check_value, read_value
from rag.types.documents import AttributeValue

Operator = Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]
Junction = Literal["and", "or"]

_DEEPEST = 8  # filters within filters
_MOST_COMPARISONS = 64
_MOST_VALUES = 1_000  # in one list
_PARAM = "filters"
_HINT = (
    'A filter looks like {"type": "gte", "key": "year", "value": 2021}; type is one of '
    f"{', '.join(get_args(Operator))} (the last two with a list as value), or and, or with a list of filters."
)
_WHERE = re.compile(r"\s*+([^<>=!\s][^<>=!]*+)(==|!=|>=|<=|=|>|<)(?![<>=])(.*)", re.DOTALL)
_SIGNS: dict[str, Operator] = {"=": "eq", "==": "eq", "!=": "ne", ">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}

_SQL_OPERATORS: dict[Operator, str] = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}  # of all others: =
_DENIED = ("ne", "nin")
# How values of each kind are compared: what the document has is `a`, what is wanted `w`; {} is the sign.
_COMPARISONS = {
    "number": "CASE WHEN a.type IN ('integer', 'real') THEN CAST(a.value AS NUMERIC) {} CAST(w.value AS NUMERIC) END",
    "text": "a.type = 'text' AND a.value {} w.value",
    "truth": "a.type = w.type",
}
FILE_NAME = "substr(d.source, length(rtrim(d.source, replace(d.source, '/', ''))) + 1)"  # behind the last stroke
_BUILT_IN = {
    "source": ("text", "d.source"),
    "title": ("text", "d.title"),
    "file_name": ("text", FILE_NAME),
    "media_type": ("text", "d.media_type"),
    "pages": ("integer", "d.pages"),
    "created_at": ("integer", "unixepoch(d.created_at)"),
    "modified_at": ("integer", "d.modified_ns / 1000000000"),
}


@dataclass(frozen=True, slots=True)
class ComparisonFilter:
    """One attribute held against a value; `in` and `nin` have any number of values, the others one."""

    key: str
    operator: Operator
    values: tuple[AttributeValue, ...]


@dataclass(frozen=True, slots=True)
class CompoundFilter:
    """Filters of which all or one must be true; there is at least one."""

    junction: Junction
    filters: tuple[Filter, ...]


Filter = ComparisonFilter | CompoundFilter


def parse_filter(given: object) -> Filter:
    """A filter in OpenAI's grammar. Raises InvalidRequest for anything else."""
    parsed = _parse(given, _DEEPEST)
    count = _comparisons(parsed)
    if count > _MOST_COMPARISONS:
        raise InvalidRequest(
            f"A filter of {count} comparisons is too large.",
            hint=f"It may have {_MOST_COMPARISONS}; `in` takes a list of up to {_MOST_VALUES} values.",
            param=_PARAM,
        )
    return parsed


def read_where(text: str) -> dict[str, Any]:
    """A comparison as it is typed (`year>=2021`, `department=legal`), in OpenAI's grammar. Raises InvalidRequest."""
    match = _WHERE.fullmatch(text)
    if match is None:
        raise InvalidRequest(
            f"{text!r} is no comparison.",
            hint="It looks like year>=2021 or department=legal; the signs are = != > >= < <=.",
            param=_PARAM,
        )
    key, sign, value = match.groups()
    return {"type": _SIGNS[sign], "key": key.strip(), "value": read_value(value.strip())}


def condition(wanted: Filter, name: str = "filter") -> tuple[str, dict[str, object]]:
    """The condition over `documents d` that says the same, in SQL, and its values, whose names begin with `name`."""
    values: dict[str, object] = {}
    if isinstance(wanted, CompoundFilter):
        clauses = []
        for number, part in enumerate(wanted.filters):
            sql, of_part = condition(part, f"{name}_{number}")
            clauses.append(sql)
            values |= of_part
        return f"({(' AND ' if wanted.junction == 'and' else ' OR ').join(clauses)})", values
    sign = _SQL_OPERATORS.get(wanted.operator, "=")
    clauses = []
    for kind, comparison in _COMPARISONS.items():
        of_kind = [value for value in wanted.values if _kind(value) == kind]
        if of_kind:
            candidates = _candidates(wanted.key, f":{name}_key")
            json_each = f"json_each(:{name}_{kind})"
            clauses.append(f"EXISTS (SELECT 1 FROM ({candidates}) a JOIN {json_each} w ON {comparison.format(sign)})")
            # as JSON, like the attributes: the database reads both alike, to the last digit
            values |= {f"{name}_key": wanted.key, f"{name}_{kind}": json.dumps(of_kind, ensure_ascii=False)}
    return f"{'NOT ' * (wanted.operator in _DENIED)}({' OR '.join(clauses) or 'false'})", values


def _kind(value: AttributeValue) -> str:
    return "truth" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"


def _candidates(key: str, value: str) -> str:
    """A query for type and value of what a document has under that key, which is handed over as `value`."""
    own = f"json_each(d.attributes) WHERE key = {value}"
    candidates = f"SELECT type, value FROM {own}"
    if key not in _BUILT_IN:
        return candidates
    kind, expression = _BUILT_IN[key]
    return f"{candidates} UNION ALL SELECT '{kind}', CAST({expression} AS TEXT) WHERE NOT EXISTS (SELECT 1 FROM {own})"


def _parse(given: object, depth: int) -> Filter:
    if not isinstance(given, dict):
        _refuse("A filter must be an object.")
    kind = given.get("type")
    if kind in get_args(Junction):
        _check_fields(given, {"type", "filters"})
        parts = given["filters"]
        if not isinstance(parts, list) or not parts:
            _refuse(f"The filter {kind!r} needs a list of filters.")
        if depth <= 1:
            raise InvalidRequest(
                "The filter is too deep.", hint=f"Filters may be nested {_DEEPEST} deep.", param=_PARAM
            )
        return CompoundFilter(cast("Junction", kind), tuple(_parse(part, depth - 1) for part in parts))
    if kind not in get_args(Operator):
        _refuse(f"There is no filter of the type {str(kind)[:100]!r}.")
    _check_fields(given, {"type", "key", "value"})
    operator = cast("Operator", kind)
    return ComparisonFilter(check_key(given["key"], _PARAM), operator, _values(operator, given["value"]))


def _values(operator: Operator, given: object) -> tuple[AttributeValue, ...]:
    if operator in ("in", "nin"):
        if not isinstance(given, list) or len(given) > _MOST_VALUES:
            _refuse(f"The filter {operator!r} needs a list of up to {_MOST_VALUES} values.")
        return tuple(check_value(value, _PARAM) for value in given)
    if isinstance(given, list | dict):
        _refuse(f"The filter {operator!r} needs a single value.")
    value = check_value(given, _PARAM)
    if isinstance(value, bool) and operator not in ("eq", "ne"):
        _refuse(f"The filter {operator!r} cannot be used with true or false.")
    return (value,)


def _check_fields(given: dict[str, object], expected: set[str]) -> None:
    if given.keys() != expected:
        _refuse(f"The filter {given['type']!r} has the fields {', '.join(sorted(expected))}.")


def _comparisons(wanted: Filter) -> int:
    return sum(map(_comparisons, wanted.filters)) if isinstance(wanted, CompoundFilter) else 1


def _refuse(message: str) -> NoReturn:
    raise InvalidRequest(message, hint=_HINT, param=_PARAM)


def joined(filters: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Filters in OpenAI's grammar as one, of which all must be true; None where there are none."""
    return {"type": "and", "filters": list(filters)} if len(filters) > 1 else next(iter(filters), None)
