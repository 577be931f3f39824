"""Numbers by what they are worth, however they are written."""

from __future__ import annotations

import pytest

from rag.answering.verification.numbers import _readings, quantities, stated, table_scales


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,200", 1200),
        ("1.200,50", 1200.5),
        ("1 200", 1200),
        ("1'200", 1200),
        ("12.5%", 12.5),
        (".18", 0.18),
        ("6½", 6.5),
        ("twenty", 20),
        ("twenty-five", 25),
        ("17th", 17),
        ("fourth", 4),
        ("5.8 billion", 5.8e9),
        ("$1561M", 1561e6),
        ("five thousand", 5000),
        ("3,2 Millionen", 3.2e6),
        ("FY2019", 2019),
        ("1990s", 1990),
        ("10mg", 10),
        ("zwölf", 12),
        ("siete", 7),
    ],
)
def test_one_number(text, value):
    (quantity,) = quantities(f"about it: {text}")
    assert quantity.values[0] == pytest.approx(value)


@pytest.mark.parametrize(
    ("claimed", "source", "same"),
    [
        ("1.200", "1,200", True),
        ("5.8 billion", "in millions: 5,794", True),
        ("5.8 billion", "5,794", False),
        ("5.9 billion", "in millions: 5,794", False),
        ("24.3%", "24.26%", True),
        ("24.26%", "24.3%", False),
        ("about 1,200", "1,187", True),
        ("1,200", "1,187", False),
        ("about 1,200", "1,280", False),
        ("15%", "0.15", True),
        ("0.4%", "36", False),
        ("two", "both", True),
        ("2", "World War II", True),
        ("250", "two hundred and fifty", True),
        ("5 m", "5 m", True),
        ("-3", "(3)", True),
        ("2021", "2012", False),
    ],
)
def test_equal_numbers(claimed, source, same):
    (quantity,) = quantities(claimed)
    assert any(quantity.equals(other, table_scales(source)) for other in stated(source)) is same


def test_what_is_remembered_of_figures_is_bounded():
    assert _readings.cache_info().maxsize
