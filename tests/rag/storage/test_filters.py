"""Filters in OpenAI's grammar: read strictly, and the same in SQL as in plain Python, whatever the documents say."""

from __future__ import annotations

import json
import operator
import sqlite3
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.errors import InvalidRequest
from rag.storage.attributes import check_attributes, read_value
from rag.storage.filters import condition, joined, parse_filter, read_where
from rag.storage.postgres import PostgresDatabase
from tests import databases

DATABASES = []  # PostgreSQL, where there is a server


@pytest.fixture(scope="module", autouse=True)
def _postgres(request):
    if databases.SERVER:
        with closing(PostgresDatabase(request.getfixturevalue("postgres_database"))) as database:
            DATABASES.append(database)
            yield
            DATABASES.clear()
    else:
        yield


COLUMNS = ("source", "title", "media_type", "pages", "created_at", "modified_ns", "attributes")


def chosen(wanted, documents):
    """The numbers of the documents for which the filter is true, as SQLite has it, and PostgreSQL where it is there."""
    connection = sqlite3.connect(":memory:")
    connection.execute(f"CREATE TABLE documents ({', '.join(COLUMNS)})")
    stored = [{**d, "attributes": json.dumps(d["attributes"], ensure_ascii=False)} for d in documents]
    values = ", ".join(f":{name}" for name in COLUMNS)
    insert = f"INSERT INTO documents ({', '.join(COLUMNS)}) VALUES ({values})"
    connection.executemany(insert, stored)
    sql, values = condition(parse_filter(wanted))
    rows = connection.execute(f"SELECT rowid - 1 FROM documents d WHERE {sql} ORDER BY rowid", values).fetchall()
    connection.close()
    found = [number for (number,) in rows]
    for database in DATABASES:
        assert chosen_by(database, sql, values, insert, stored) == found
    return found


def chosen_by(database, sql, values, insert, documents):
    types = {"pages": "bigint", "modified_ns": "bigint"}
    columns = ", ".join(f"{name} {types.get(name, 'text')}" + ' COLLATE "C"' * (name not in types) for name in COLUMNS)
    with database.transaction() as connection:
        connection.execute(f"CREATE TEMP TABLE documents ({columns}, rowid bigserial) ON COMMIT DROP")
        connection.executemany(insert, documents)
        statement = f"SELECT rowid - 1 FROM documents d WHERE {sql} ORDER BY rowid"
        return [number for (number,) in connection.execute(statement, **values)]


def document(attributes=None, **columns):
    given = {
        "source": "/papers/2024/a b.pdf",
        "title": "Annual Report",
        "media_type": "application/pdf",
        "pages": 12,
        "created_at": "2026-01-02T03:04:05+00:00",
        "modified_ns": 1_700_000_000_999_999_999,
    }
    return {**given, "attributes": attributes or {}, **columns}


def compare(kind, key, value):
    return {"type": kind, "key": key, "value": value}


# ---------------------------------------------------------------------------------------------------------- semantics


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("eq", 2021, [0, 1]),
        ("eq", 2021.0, [0, 1]),
        ("eq", "2021", [2]),
        ("eq", True, [3]),
        ("eq", 1, [4]),
        ("ne", 2021, [2, 3, 4, 5, 6]),
        ("ne", True, [0, 1, 2, 4, 5, 6]),
        ("gt", 1, [0, 1]),
        ("gte", 1, [0, 1, 4]),
        ("lt", 2021, [4]),
        ("lte", 2021, [0, 1, 4]),
        ("gte", "2021", [2, 5]),
        ("lt", "Z", [2]),
        ("in", [2021, "legal", True], [0, 1, 3, 5]),
        ("nin", [2021, "legal", True], [2, 4, 6]),
        ("in", [], []),
        ("nin", [], [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_numbers_texts_and_truth_values_are_never_taken_for_each_other(kind, value, expected):
    own = [{"x": 2021}, {"x": 2021.0}, {"x": "2021"}, {"x": True}, {"x": 1}, {"x": "legal"}, {}]
    assert chosen(compare(kind, "x", value), [document(attributes) for attributes in own]) == expected


@pytest.mark.parametrize(
    "wanted",
    [
        compare("eq", "source", "/papers/2024/a b.pdf"),
        compare("eq", "file_name", "a b.pdf"),
        compare("eq", "title", "Annual Report"),
        compare("eq", "media_type", "application/pdf"),
        compare("gte", "pages", 12),
        compare("eq", "created_at", 1767323045),
        compare("eq", "modified_at", 1700000000),
    ],
)
def test_what_every_document_has(wanted):
    plain, overridden = document(), document({wanted["key"]: "mine"})
    assert chosen(wanted, [plain, overridden]) == [0]
    assert chosen(compare("eq", wanted["key"], "mine"), [plain, overridden]) == [1]


def test_an_upload_has_its_name_as_file_name():
    assert chosen(compare("eq", "file_name", "a.pdf"), [document(source="a.pdf"), document(source="/a.pdf/")]) == [0]


def test_a_date_that_is_none_is_no_attribute():
    assert chosen(compare("ne", "created_at", 0), [document(created_at="")]) == [0]
    assert chosen(compare("gte", "created_at", -1e300), [document(created_at="")]) == []


@pytest.mark.parametrize("key", ['a"b', "a\\b", "a.b", "[0]", "$", "ключ 🦊", "a\nb", "' OR 1 --", "?"])
def test_any_key_and_text_is_only_a_text(key):
    documents = [document({key: key}), document({"other": 1})]
    assert chosen(compare("eq", key, key), documents) == [0]
    assert chosen(compare("ne", key, key), documents) == [1]


# ----------------------------------------------------------------------------------- the same as plain Python says it

KEYS = ["a", 'b"', "title", "pages"]
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**63) + 1, 2**63 - 1),
    st.sampled_from([0, 1, 2, -1, 1.0, 2.5, 12, "", "1", "a", "A", "ä", "🦊", "Annual Report"]),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5),
)
ORDERED = SCALARS.filter(lambda value: not isinstance(value, bool))
COMPARISONS = st.one_of(
    st.builds(compare, st.sampled_from(["eq", "ne"]), st.sampled_from(KEYS), SCALARS),
    st.builds(compare, st.sampled_from(["gt", "gte", "lt", "lte"]), st.sampled_from(KEYS), ORDERED),
    st.builds(compare, st.sampled_from(["in", "nin"]), st.sampled_from(KEYS), st.lists(SCALARS, max_size=4)),
)
FILTERS = st.recursive(
    COMPARISONS,
    lambda inner: st.builds(
        lambda kind, filters: {"type": kind, "filters": filters},
        st.sampled_from(["and", "or"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=6,
)
DOCUMENTS = st.lists(st.dictionaries(st.sampled_from(KEYS), SCALARS).map(document), max_size=6)


def kind_of(value):
    return next(kind for kind in (bool, str, (int, float)) if isinstance(value, kind))


def is_true(wanted, attributes):
    kind = wanted["type"]
    if kind in ("and", "or"):
        return (all if kind == "and" else any)(is_true(part, attributes) for part in wanted["filters"])
    if kind in ("ne", "nin"):
        return not is_true({**wanted, "type": "eq" if kind == "ne" else "in"}, attributes)
    if kind == "in":
        return any(is_true(compare("eq", wanted["key"], value), attributes) for value in wanted["value"])
    present, value = attributes.get(wanted["key"]), wanted["value"]
    if present is None or kind_of(present) != kind_of(value):
        return False
    name = {"eq": "eq", "gt": "gt", "gte": "ge", "lt": "lt", "lte": "le"}[kind]
    return getattr(operator, name)(present, value)


@settings(max_examples=300, deadline=None)
@given(FILTERS, DOCUMENTS)
def test_sql_says_what_plain_python_says(wanted, documents):
    expected = [
        number
        for number, d in enumerate(documents)
        if is_true(wanted, {"title": d["title"], "pages": d["pages"], **d["attributes"]})
    ]
    assert chosen(wanted, documents) == expected


# ------------------------------------------------------------------------------------------------------------ grammar

YEAR = compare("eq", "year", 2021)


def nested(depth):
    return YEAR if depth <= 1 else {"type": "and", "filters": [nested(depth - 1)]}


@pytest.mark.parametrize("wanted", [YEAR, nested(8), {"type": "or", "filters": [YEAR] * 64}])
def test_what_can_be_read(wanted):
    assert chosen(wanted, [document({"year": 2021}), document({"year": 2020})]) == [0]


@pytest.mark.parametrize(
    "wanted",
    [
        None,
        [],
        "year>2021",
        {},
        {"type": "like", "key": "year", "value": "2%"},
        {"type": ["eq"], "key": "year", "value": 1},
        {"type": "eq", "key": "year"},
        {"type": "eq", "value": 1},
        {**YEAR, "case": "ignored"},
        compare("eq", "", 1),
        compare("eq", 7, 1),
        compare("eq", "k" * 65, 1),
        compare("eq", "a\0b", 1),
        compare("eq", "a", "v" * 513),
        compare("eq", "a", "half \ud83e"),
        compare("eq", "a", None),
        compare("eq", "a", [1]),
        compare("eq", "a", {"b": 1}),
        compare("eq", "a", float("nan")),
        compare("eq", "a", float("inf")),
        compare("eq", "a", 2**63),
        compare("eq", "a", 10**5000),
        compare("gt", "a", True),
        compare("in", "a", "text"),
        compare("in", "a", [[1]]),
        compare("in", "a", [1] * 1001),
        {"type": "and", "filters": []},
        {"type": "or", "filters": YEAR},
        {"type": "and", "filters": [YEAR, None]},
        {"type": "and", "filters": [YEAR], "key": "a"},
        {"type": "not", "filters": [YEAR]},
        nested(9),
        nested(100),
        {"type": "or", "filters": [YEAR] * 65},
    ],
)
def test_anything_else_is_refused_with_a_hint(wanted):
    with pytest.raises(InvalidRequest) as raised:
        parse_filter(wanted)
    assert raised.value.hint
    assert raised.value.param == "filters"
    assert len(raised.value.message) < 300


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("year>=2021", compare("gte", "year", 2021)),
        (" year <= 2021.5 ", compare("lte", "year", 2021.5)),
        ("department=legal", compare("eq", "department", "legal")),
        ("department == legal & more", compare("eq", "department", "legal & more")),
        ("draft!=true", compare("ne", "draft", True)),
        ('year="2021"', compare("eq", "year", "2021")),
        ("a>b=c", compare("gt", "a", "b=c")),
        ("a=", compare("eq", "a", "")),
        ("date<2024-03-01", compare("lt", "date", "2024-03-01")),
        ("size=NaN", compare("eq", "size", "NaN")),
        ("x=null", compare("eq", "x", "null")),
        ("x=[1]", compare("eq", "x", "[1]")),
    ],
)
def test_comparisons_as_they_are_typed(text, wanted):
    assert read_where(text) == wanted
    parse_filter(wanted)


@pytest.mark.parametrize("text", ["", "year", ">=2021", "year ! 3", "year=>2021", "year =< 3"])
def test_what_is_no_comparison(text):
    with pytest.raises(InvalidRequest, match="no comparison"):
        read_where(text)


def test_several_filters_must_all_be_true():
    assert joined([]) is None
    assert joined([YEAR]) == YEAR
    both = joined([YEAR, compare("eq", "a", 1)])
    assert chosen(both, [document({"year": 2021, "a": 1}), document({"year": 2021}), document({"a": 1})]) == [0]


def test_attributes_have_limits():
    assert check_attributes({"k" * 64: "v" * 512, "b": True, "c": 1.5}) == {"k" * 64: "v" * 512, "b": True, "c": 1.5}
    assert read_value("0071") == "0071"
    for given_ in ({str(n): 1 for n in range(17)}, {"": 1}, {"a": None}, {"a": "v" * 513}, {1: 2}):
        with pytest.raises(InvalidRequest) as raised:
            check_attributes(given_)
        assert raised.value.hint
