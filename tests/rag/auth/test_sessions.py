"""Sessions are rows: whatever ends one deletes it, and nothing that is stored opens anything."""

from __future__ import annotations

from contextlib import closing

import pytest

from rag.auth.sessions import LIFETIME, Sessions
from rag.storage.connect import open_catalog
from rag.ui.chainlit_files import HERE

pytestmark = pytest.mark.databases
PASSWORD = "four words in a row"


@pytest.fixture
def sessions(catalog):
    return Sessions(catalog.database)


def test_a_session_names_its_user_until_it_is_ended(users, sessions):
    anna = users.add("anna", PASSWORD).principal
    here, there = sessions.begin(anna.id), sessions.begin(anna.id)
    assert sessions.principal(here) == sessions.principal(there) == anna
    assert sessions.principal(here[:-1]) is None
    assert sessions.principal("") is None
    sessions.end(here)
    sessions.end(here)
    assert sessions.principal(here) is None
    assert sessions.principal(there) == anna
    assert sessions.end_all(anna.id) == 1
    assert sessions.principal(there) is None


def test_what_ends_sessions_of_a_user_ends_nobody_elses(users, sessions):
    anna, ben = users.add("anna", PASSWORD).principal, users.add("ben", PASSWORD).principal
    bens, kept, other = sessions.begin(ben.id), sessions.begin(anna.id), sessions.begin(anna.id)
    users.set_password("anna", "another one, longer", kept_session=kept)
    assert [sessions.principal(token) for token in (kept, other, bens)] == [anna, None, ben]
    users.set_password("anna", "a third one, longer")
    assert sessions.principal(kept) is None
    last = sessions.begin(anna.id)
    users.delete("anna")
    users.add("anna", PASSWORD)
    assert sessions.principal(last) is None, "another anna"
    assert sessions.principal(bens) == ben


def test_an_admin_who_is_one_no_more_has_the_rights_of_now(users, sessions):
    dora = users.add("dora", PASSWORD, is_admin=True)
    token = sessions.begin(dora.id)
    users.set_admin("dora", is_admin=False)
    assert not sessions.principal(token).is_admin


def test_a_session_that_is_over_opens_nothing_and_is_deleted_with_the_next_log_in(catalog, users, sessions):
    anna = users.add("anna", PASSWORD)
    over = sessions.begin(anna.id)
    catalog.database.write("UPDATE sessions SET expires_at = '2020-01-01T00:00:00+00:00'")
    assert sessions.principal(over) is None
    sessions.begin(anna.id)
    assert [*catalog.database.first("SELECT count(*) FROM sessions")] == [1]


def test_what_is_stored_opens_nothing(catalog, users, sessions):
    token = sessions.begin(users.add("anna", PASSWORD).id)
    (row,) = catalog.database.read("SELECT * FROM sessions")
    assert token not in row
    assert all(sessions.principal(value) is None for value in row)


def test_an_end_counts_at_once_in_another_process(settings, users, sessions):
    token = sessions.begin(users.add("anna", PASSWORD).id)
    with closing(open_catalog(settings.storage)) as of_another:
        assert Sessions(of_another.database).principal(token).name == "anna"
        sessions.end(token)
        assert Sessions(of_another.database).principal(token) is None


def test_the_cookie_lasts_as_long_as_the_session():
    assert f"user_session_timeout = {LIFETIME.total_seconds():.0f}\n" in (HERE / "config.toml").read_text()
