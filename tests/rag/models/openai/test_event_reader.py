"""Server-sent events, however they are cut."""

from __future__ import annotations

import pytest

from rag.models.openai.errors import NoJson
from rag.models.openai.event_reader import EventReader, read_chunk
from tests.growth import assert_linear


def test_a_long_line_takes_no_longer_for_coming_in_many_pieces():
    def read(pieces):
        reader = EventReader(lambda data, _: read_chunk(data))
        for _ in range(pieces):
            assert not list(reader.feed(b"x" * 16_384))

    assert_linear(read, 125)


def test_a_line_that_never_ends_is_given_up():
    reader = EventReader(lambda data, _: read_chunk(data))
    for _ in range(32):
        assert not list(reader.feed(b"x" * (1 << 20)))
    with pytest.raises(NoJson, match="a line of more than"):
        list(reader.feed(b"x"))
