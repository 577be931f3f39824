"""What the suite's tests are given: one back end after the other, running."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.backends import BACKENDS, Backend, opened_backend, why_missing


@pytest.fixture(scope="module", params=[name for name in BACKENDS if not why_missing(name)])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with opened_backend(request.param, tmp_path_factory.mktemp("model")) as backend:
        yield backend


@pytest.fixture
def backend(opened: Backend) -> Backend:
    """A back end that runs, whatever the test before did to it."""
    if opened.server is not None:
        opened.server.ensure_running()
    return opened
