"""`rag users`, `rag keys` and `rag share`, as one types them."""

from __future__ import annotations

import re
from contextlib import closing

import pytest
from click.testing import CliRunner

from rag.auth.access import Access
from rag.auth.api_keys import ApiKeys
from rag.auth.sessions import Sessions
from rag.auth.users import Users
from rag.cli.main import rag
from rag.errors import NotFound, RagError
from rag.storage.catalog import Catalog


@pytest.fixture
def command(tmp_path, monkeypatch):
    """`rag …` in this process; RagErrors are raised, as the edge of the command line gets them."""
    monkeypatch.setenv("RAG_STORAGE__DIR", str(tmp_path / "storage"))

    def run(*arguments, stdin=""):
        result = CliRunner().invoke(rag, arguments, input=stdin)
        if isinstance(result.exception, RagError):
            raise result.exception
        return result

    return run


@pytest.fixture
def catalog(tmp_path):
    with closing(Catalog(tmp_path / "storage" / "catalog.sqlite3")) as catalog:
        yield catalog


def test_users_are_added_listed_changed_and_removed(command, catalog):
    assert command("users", "list").stdout.startswith("There are no users yet")
    added = command("users", "add", "anna", "--admin", stdin="four words in a row\n")
    assert (added.exit_code, added.stdout) == (0, "anna may come in as an admin.\n")
    assert Users(catalog.database).with_password("anna", "four words in a row").is_admin
    assert command("users", "password", "anna", stdin="other words in a row\n").exit_code == 0
    assert Users(catalog.database).with_password("anna", "other words in a row")
    begun = [Sessions(catalog.database).begin(Users(catalog.database).get("anna").id) for _ in range(2)]
    assert command("users", "logout", "anna").stdout == "anna is logged out of 2 sessions.\n"
    assert [Sessions(catalog.database).principal(token) for token in begun] == [None, None]
    assert command("users", "admin", "anna", "--no").exit_code == 0
    assert re.fullmatch(r"anna  since \d{4}-\d\d-\d\d\n", command("users", "list").stdout)
    assert command("users", "remove", "anna").exit_code == 0
    with pytest.raises(NotFound):
        command("users", "remove", "anna")


def test_a_key_is_printed_alone_and_once(command, catalog):
    catalog.create_collection("manuals")
    made = command("keys", "create", "--user", "local", "--collection", "manuals", "--read-only", "--expires", "30d")
    key = made.stdout.strip()
    assert made.exit_code == 0, made.stderr
    principal = ApiKeys(catalog.database).principal(key)
    assert (principal.name, principal.read_only) == ("local", True)
    assert principal.collections == {catalog.collection("manuals").id}
    listed = command("keys", "list").stdout
    assert key not in listed
    assert "manuals  read only  until " in listed
    assert command("keys", "revoke", key[:9]).exit_code == 0
    assert ApiKeys(catalog.database).principal(key) is None


def test_a_key_for_a_new_user_makes_one_and_says_so(command, catalog):
    made = command("keys", "create", "--user", "robot")
    assert "robot is a new user" in made.stderr
    assert ApiKeys(catalog.database).principal(made.stdout.strip()).name == "robot"
    with pytest.raises(NotFound, match="no collection 'default'"):
        command("keys", "create", "--user", "robot", "--collection", "default")


@pytest.mark.parametrize("lifetime", ["30", "d", "0d", "-1d", "soon"])
def test_a_time_that_is_none_is_refused(command, lifetime):
    refused = command("keys", "create", "--user", "anna", f"--expires={lifetime}")
    assert (refused.exit_code, "no time such as" in refused.stderr) == (2, True)


def test_a_collection_is_shared_and_taken_back(command, catalog):
    ben = Users(catalog.database).add("ben").principal
    assert command("share", "default").stdout == "default can be read by its owner only.\n"
    assert command("share", "default", "--with", "ben").stdout == "default can be read by ben.\n"
    assert Access(catalog, ben).collection("default").name == "default"
    assert "its owner only" in command("share", "default", "--not-with", "ben").stdout
    with pytest.raises(NotFound):
        Access(catalog, ben).collection("default")
    assert "everybody" in command("share", "default", "--public").stdout
    assert Access(catalog, ben).default_collections() == [catalog.collection("default")]
    assert command("share", "default", "--private").exit_code == 0
    with pytest.raises(NotFound):
        command("share", "default", "--with", "nobody")
