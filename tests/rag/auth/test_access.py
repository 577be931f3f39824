"""The documents as somebody reaches them: names, the collection that is meant where none is named, and refusals."""

from __future__ import annotations

from contextlib import closing

import pytest

from rag.auth.access import Access, share
from rag.auth.principals import LOCAL, Principal
from rag.auth.users import Users
from rag.errors import Forbidden, InvalidRequest, NotFound
from rag.storage.catalog import Catalog

pytestmark = pytest.mark.databases


@pytest.fixture
def catalog(database):
    with closing(Catalog(database)) as catalog:
        yield catalog


@pytest.fixture
def anna(catalog):
    return Users(catalog.database).add("anna").principal


def own(catalog, principal, name):
    return Access(catalog, principal).stores.create(principal.id, name)


def test_the_machines_owner_means_default(catalog):
    access = Access(catalog, LOCAL)
    assert access.default_collection().name == "default"
    assert access.scope().collection_ids == (catalog.collection("default").id,)


def test_a_user_gets_a_collection_when_one_is_needed_and_asks_it_with_the_shared_one(catalog, anna):
    access = Access(catalog, anna)
    assert access.default_collections() == []
    assert access.scope().collection_ids == ()
    shared = share(catalog, catalog.collection("default").id, public=True)
    assert access.default_collections() == [shared]
    home = access.default_collection("write")
    assert (home.owner_id, home.title) == (anna.id, "default")
    assert access.default_collection("write") == home
    assert access.scope().collection_ids == (home.id, shared.id)
    assert list(access.names()) == ["default", shared.id]
    assert access.collection("default") == home


def test_an_admins_own_uploads_stay_their_own(catalog):
    dora = Users(catalog.database).add("dora", is_admin=True).principal
    share(catalog, catalog.collection("default").id, public=True)
    assert Access(catalog, dora).default_collection("write").owner_id == dora.id


def test_nobody_puts_documents_into_the_answers_of_others(catalog, anna):
    ben = Users(catalog.database).add("ben").principal
    theirs = own(catalog, ben, "default")
    share(catalog, theirs.id, add=[anna.id], public=True)
    access = Access(catalog, anna)
    assert theirs.id not in access.scope().collection_ids
    assert access.scope(theirs.id).collection_ids == (theirs.id,)
    assert theirs.id not in Access(catalog, LOCAL).scope().collection_ids


def test_a_limited_key_asks_all_it_may_and_changes_what_is_named(catalog, anna):
    ids = [own(catalog, anna, name).id for name in ("one", "two", "three")]
    key = Principal(anna.id, "anna", collections=frozenset(ids[:2]), key_id="key_1")
    access = Access(catalog, key)
    assert set(access.scope().collection_ids) == set(ids[:2])
    with pytest.raises(InvalidRequest):
        access.default_collection("write")
    assert access.collection("one", "write").id == ids[0]
    with pytest.raises(NotFound):
        access.collection("three")
    with pytest.raises(Forbidden):
        access.collection("one", "manage")
    with pytest.raises(Forbidden):
        access.require_own()


def test_a_read_only_user_without_documents_is_told_and_gets_none(catalog, anna):
    access = Access(catalog, Principal(anna.id, "anna", read_only=True))
    with pytest.raises(Forbidden):
        access.default_collection()
    assert access.collections() == []


def test_what_is_shared_is_read_and_not_changed(catalog, anna):
    store = own(catalog, anna, "plans")
    ben = Users(catalog.database).add("ben").principal
    with pytest.raises(NotFound) as unseen:
        Access(catalog, ben).collection("plans")
    assert "plans" not in unseen.value.hint
    share(catalog, store.id, add=[ben.id])
    assert Access(catalog, ben).collection("plans").id == store.id
    with pytest.raises(Forbidden):
        Access(catalog, ben).collection("plans", "write")


def test_ones_own_comes_before_others_of_its_name(catalog, anna):
    ben = Users(catalog.database).add("ben").principal
    theirs, mine = own(catalog, ben, "plans"), own(catalog, anna, "plans")
    share(catalog, theirs.id, public=True)
    access = Access(catalog, anna)
    assert access.collection("plans").id == mine.id
    assert access.collection(theirs.id).id == theirs.id
    assert {name: each.id for name, each in access.names().items()} == {"plans": mine.id, theirs.id: theirs.id}
