"""How many examples the tests make up: few in `make test-slow`, as many as `FOOTNOTE_TEST_EXAMPLES` says in a long run.

A seed of its own makes a long run another one: `FOOTNOTE_TEST_EXAMPLES=10000 FOOTNOTE_TEST_SEED=7 pytest …`.
"""

from __future__ import annotations

import os


def number_of_examples(short: int) -> int:
    """`short`, unless a long run is asked for."""
    return int(os.environ.get("FOOTNOTE_TEST_EXAMPLES", short))


def seed() -> int:
    """Where the examples begin."""
    return int(os.environ.get("FOOTNOTE_TEST_SEED", "16"))
