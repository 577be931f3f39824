"""A transaction that cannot be committed changes nothing, and what comes after it is as if it had not been."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import IntegrityError

from rag.storage.catalog import Catalog


def write_what_cannot_be_committed(catalog):
    with catalog.database.transaction() as connection:
        connection.execute("PRAGMA defer_foreign_keys = ON")  # so that it is the commit that fails
        connection.execute("INSERT INTO names (token, document_id) VALUES ('pump', 'doc_none')")


def test_after_a_commit_that_failed_the_thread_goes_on(tmp_path):
    catalog = Catalog(tmp_path / "catalog.sqlite3")
    with pytest.raises(IntegrityError):
        write_what_cannot_be_committed(catalog)
    assert catalog.documents() == []
    catalog.set_property("after", "all is well")
    assert catalog.property("after") == "all is well"
    catalog.close()
