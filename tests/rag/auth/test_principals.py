"""The one function that says who may what, held against what is written about it."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from rag.auth.principals import LOCAL, Principal, may
from rag.types.documents import Collection, Owned

PEOPLE = st.sampled_from(["prn_anna", "prn_ben", "prn_carol"])
ACTIONS = st.sampled_from(["read", "write", "manage"])
SETS = st.none() | st.frozensets(st.sampled_from(["vs_1", "vs_2"]))
PRINCIPALS = st.builds(
    Principal, PEOPLE, st.just("somebody"), st.booleans(), st.booleans(), SETS, st.sampled_from(["", "key_1", "key_2"])
)
COLLECTIONS = st.builds(
    Collection,
    st.sampled_from(["vs_1", "vs_2", "vs_3"]),
    st.just("name"),
    PEOPLE,
    st.none(),
    st.booleans(),
    st.frozensets(PEOPLE),
)
OWNED = st.builds(Owned, PEOPLE, st.sampled_from(["", "key_1", "key_2"]))


@given(PRINCIPALS, ACTIONS, COLLECTIONS)
def test_a_collection_is_reached_by_owner_admin_and_reader_only(principal, action, collection):
    is_reader = principal.id in collection.readers or collection.is_public
    if may(principal, action, collection):
        assert principal.is_admin or collection.owner_id == principal.id or (is_reader and action == "read")
        assert not (principal.read_only and action != "read")
        assert principal.collections is None or (collection.id in principal.collections and action != "manage")


@given(PRINCIPALS, ACTIONS, OWNED)
def test_what_is_ones_own_is_never_shared(principal, action, thing):
    if may(principal, action, thing):
        assert principal.is_admin or thing.owner_id == principal.id
        assert not (principal.read_only and action != "read")
        assert principal.collections is None or thing.key_id == principal.key_id


@given(PRINCIPALS, ACTIONS, COLLECTIONS | OWNED)
def test_a_key_never_may_more_than_its_user(principal, action, thing):
    user = replace(principal, read_only=False, collections=None)
    assert may(principal, action, thing) <= may(user, action, thing)


@given(ACTIONS, COLLECTIONS | OWNED)
def test_owners_and_the_machines_owner_may_everything(action, thing):
    assert may(LOCAL, action, thing)
    assert may(Principal(thing.owner_id, "owner"), action, thing)
