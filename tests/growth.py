"""Whether work takes time in proportion to its length: by the processor's time, and never by one attempt alone."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

_TRIES = 5  # other processes and the collector make one attempt late, not all
_LONGER = 8  # times
_NOTHING = 0.002  # seconds: what takes less is in the clock's noise


def processor_seconds(work: Callable[[], object]) -> float:
    """The time that this thread computed, without the collector: its time grows with all that other tests left."""
    gc.disable()
    try:
        began = time.thread_time()
        work()
        return time.thread_time() - began
    finally:
        gc.enable()


def assert_linear(work: Callable[[int], object], length: int) -> None:
    """`work(8 * length)` takes at most three times as much a unit of length as `work(length)`; quadratic is eight."""
    work(length)
    times = []
    for _ in range(_TRIES):
        short = processor_seconds(lambda: work(length))
        times.append((short, processor_seconds(lambda: work(_LONGER * length))))
        short, long = (min(of) for of in zip(*times, strict=True))
        if long < 3 * _LONGER * max(short, _NOTHING):
            return
    raise AssertionError(f"{_LONGER} times the length takes {long / short:.0f} times the time: {times}")
