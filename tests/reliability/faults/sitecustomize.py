"""Read by Python when it starts, where this folder is on PYTHONPATH: faults of the machine, by the environment.

FAULT_LIMITS   limits of the process, such as "RLIMIT_NOFILE=64 RLIMIT_DATA=2147483648"
FAULT_CLOCK    a file: as long as it is there the clock is an hour late
"""

import datetime as dt
import os
import resource
import time

for _limit in os.environ.get("FAULT_LIMITS", "").split():
    _name, _value = _limit.split("=")
    resource.setrlimit(getattr(resource, _name), (int(_value), int(_value)))

_FILE = os.environ.get("FAULT_CLOCK", "")
_real, _real_time, _real_time_ns = dt.datetime, time.time, time.time_ns


def _lateness() -> int:
    return 3_600 if os.path.exists(_FILE) else 0  # noqa: PTH110  (as little as can be is imported here)


class _Late(_real):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)


if _FILE:
    time.time = lambda: _real_time() - _lateness()
    time.time_ns = lambda: _real_time_ns() - _lateness() * 10**9
    dt.datetime = _Late
