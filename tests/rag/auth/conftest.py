"""A catalog with its users, in each database."""

from __future__ import annotations

from contextlib import closing

import pytest

from rag.auth.users import Users
from rag.storage.catalog import Catalog


@pytest.fixture
def catalog(database):
    with closing(Catalog(database)) as catalog:
        yield catalog


@pytest.fixture
def users(catalog):
    return Users(catalog.database)
