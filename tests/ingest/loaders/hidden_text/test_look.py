"""The rule that says what nobody sees, and what it reads: lengths, colours, chains of styles."""

from __future__ import annotations

import pytest

from ingest.loaders.hidden_text.look import BLACK, WHITE, Look, parse_colour, points, style_chain


@pytest.mark.parametrize(
    "look",
    [
        Look(is_hidden=True),
        Look(size=0.0),
        Look(size=1.0),
        Look(opacity=0.05),
        Look(colour=(240, 240, 240), ground=WHITE),
        Look(colour=(15, 15, 15), ground=BLACK),
    ],
)
def test_what_nobody_sees(look):
    assert look.is_unseen


@pytest.mark.parametrize(
    "look",
    [
        Look(),
        Look(size=1.5),
        Look(opacity=0.1),
        Look(colour=WHITE),
        Look(ground=WHITE),
        Look(colour=(239, 255, 255), ground=WHITE),
        Look(colour=WHITE, ground=BLACK),
    ],
)
def test_what_may_be_seen(look):
    assert not look.is_unseen


@pytest.mark.parametrize(
    ("length", "expected"),
    [("1.5pt", 1.5), ("1PX", 0.75), ("1in", 72.0), ("2.54cm", 72.0), (" 0 ", 0.0), ("0em", 0.0), (".0%", 0.0)]
    + [(length, None) for length in ("", "large", "0.9em", "5%", "12", "-3pt", "0" * 1000 + "x")],
)
def test_lengths_in_points(length, expected):
    assert points(length) == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("colour", "expected"),
    [
        ("#FFF", (WHITE, 1.0)),
        ("#000000ff", (BLACK, 1.0)),
        ("#00000000", (BLACK, 0.0)),
        (" White ", (WHITE, 1.0)),
        ("whitesmoke", ((245, 245, 245), 1.0)),
        ("rgb(0, 10, 20)", ((0, 10, 20), 1.0)),
        ("rgba(100%, 100%, 100%, 50%)", (WHITE, 0.5)),
        ("rgb(0 0 0 / 0.25)", (BLACK, 0.25)),
        ("hsl(0, 0%, 100%)", (WHITE, 1.0)),
        ("transparent", (None, 0.0)),
        *((unknown, (None, 1.0)) for unknown in ("", "#auto", "rgb(1.2.3, 0, 0)", f"rgb({'9' * 400}, 0, 0)", "url(a)")),
    ],
)
def test_colours_and_their_opacity(colour, expected):
    assert parse_colour(colour) == expected


def test_styles_are_followed_to_the_last_and_never_in_a_circle():
    parents = {"a": "b", "b": "c", "c": "b", "d": "missing"}

    assert style_chain({name: name for name in parents}, "a", parents.__getitem__) == ["a", "b", "c"]
    assert style_chain({name: name for name in parents}, "d", parents.__getitem__) == ["d"]
    assert style_chain({name: name for name in parents}, "missing", parents.__getitem__) == []
