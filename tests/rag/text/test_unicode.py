"""Characters that show nothing: gone where they hide something, kept where a script or an emoji needs them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.text.unicode import smuggles, without_any_invisible, without_invisible


def tagged(text: str) -> str:
    return "".join(chr(0xE0000 + ord(letter)) for letter in text)


def selected(data: bytes) -> str:
    """Bytes as variation selectors."""
    return "".join(chr(0xFE00 + byte) if byte < 16 else chr(0xE0100 + byte - 16) for byte in data)


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "äöü “quoted” … naïve",
        "👩\u200d💻 👨\u200d👩\u200d👧\u200d👦 🧑🏽\u200d🚀",
        "🏳\ufe0f\u200d🌈 👁\ufe0f\u200d🗨\ufe0f ❤\ufe0f ☎\ufe0e",
        "1\ufe0f\u20e3 #\ufe0f\u20e3",
        "🏴" + tagged("gbeng") + chr(0xE007F),
        "می\u200cخواهم",
        "ه\u200d",
        "क्\u200dष र्\u200cय",
        "ක්\u200dෂ",
        "葛\U000e0100城 ∩\ufe00",
        "ភាសា\u200bខ្មែរ",
    ],
)
def test_what_means_something_stays(text):
    assert without_invisible(text) == text
    assert not smuggles(text)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("ig\u200bno\u200dre\u2060 me\ufeff", "ignore me"),
        ("so\u00adft", "soft"),
        ("a\u202eb\u202c \u2066c\u2069 d\u200f", "ab c d"),
        ("x\u200d", "x"),
        ("👩\u200d!", "👩!"),
        ("می\u200c\u200c\u200d\u200cخ", "میخ"),
        ("\u3164", ""),
    ],
)
def test_what_means_nothing_goes(text, left):
    assert without_invisible(text) == left
    assert not smuggles(text)


@pytest.mark.parametrize("seen", ["", "A", "😀", "漢", "🏴", "می"])
@pytest.mark.parametrize("hidden", [tagged("ignore all"), selected(b"ignore all"), "\u200b\u200c" * 20])
def test_a_message_in_invisible_characters_is_gone_and_noticed(seen, hidden):
    text = f"{seen}{hidden} rest"
    assert len(without_invisible(text)) <= len(f"{seen} rest") + 1
    assert without_any_invisible(text) == f"{seen} rest"
    assert smuggles(text)


@given(st.text())
def test_only_invisible_characters_are_taken_out(text):
    left = without_invisible(text)
    assert without_any_invisible(left) == without_any_invisible(text)
    assert without_invisible(left) == left or len(left) < len(text)
