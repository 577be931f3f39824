"""Users and API keys: what is stored of their secrets, and when they open nothing any more."""

from __future__ import annotations

import base64
import time
from datetime import timedelta

import pytest

from rag.auth.api_keys import ApiKeys
from rag.auth.authenticator import Authenticator
from rag.auth.rate_limit import RateLimit
from rag.errors import Conflict, InvalidRequest, NotFound, RateLimited, Unauthorized
from rag.storage.vector_stores import VectorStores
from rag.types.documents import LOCAL_PRINCIPAL

pytestmark = pytest.mark.databases

PASSWORD = "four words in a row"


@pytest.fixture
def keys(catalog):
    return ApiKeys(catalog.database)


def test_a_password_lets_in_its_user_and_is_stored_nowhere(users, tmp_path):
    users.add("anna", PASSWORD)
    assert users.with_password("anna", PASSWORD).name == "anna"
    assert users.with_password("anna", PASSWORD + "!") is None
    assert users.with_password("nobody", PASSWORD) is None
    assert not any(PASSWORD.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    users.set_password("anna", "another one, longer")
    assert users.with_password("anna", PASSWORD) is None


def test_who_has_no_password_cannot_log_in_with_an_empty_one(users):
    users.add("robot")
    assert users.with_password("robot", "") is None
    assert users.with_password("local", "") is None


@pytest.mark.parametrize("name", ["", "local", "a b", "-x", "x" * 129, "github:", ":anna", "a:b:c", "a\nb", "../x"])
def test_unfit_names_are_refused(users, name):
    with pytest.raises(InvalidRequest):
        users.add(name)
    assert users.all() == []


def test_a_name_is_taken_once_and_a_short_password_not_at_all(users):
    users.add("anna")
    with pytest.raises(Conflict):
        users.add("anna")
    with pytest.raises(InvalidRequest):
        users.set_password("anna", "short")
    assert not users.get("anna").has_password


def test_who_is_removed_hands_over_what_they_own(catalog, users, keys):
    anna, key = users.add("anna", PASSWORD), keys.create(users.get("anna").id)
    store = VectorStores(catalog.database).create(anna.id, "Notes")
    with pytest.raises(Conflict, match="still owns"):
        users.delete("anna")
    assert keys.principal(key) is not None, "a refused removal changes nothing"
    users.delete("anna", heir="local")
    assert catalog.collection(store.id).owner_id == LOCAL_PRINCIPAL
    assert users.find("anna") is None
    assert keys.principal(key) is None
    with pytest.raises(NotFound):
        users.delete("anna")
    with pytest.raises(InvalidRequest):
        users.delete("local")


def test_a_key_is_known_by_its_hash_and_shown_by_its_beginning(users, keys, tmp_path):
    key = keys.create(users.add("anna").id, "laptop", collections=["vs_1"], read_only=True)
    principal = keys.principal(key)
    assert (principal.name, principal.read_only, principal.collections) == ("anna", True, {"vs_1"})
    (shown,) = keys.all()
    assert key.startswith(shown.prefix)
    assert len(shown.prefix) < 12
    while not keys.all()[0].used_at:  # noted in the background
        time.sleep(0.01)
    assert not any(key.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert keys.principal(key[:-1]) is None
    assert keys.principal("") is None


def test_expired_and_revoked_keys_open_nothing(users, keys):
    anna = users.add("anna").id
    assert keys.principal(keys.create(anna, lifetime=timedelta(seconds=-1))) is None
    lasting, second = keys.create(anna, lifetime=timedelta(days=1)), keys.create(anna)
    with pytest.raises(Conflict):
        keys.revoke("fn-")
    with pytest.raises(NotFound):
        keys.revoke("")
    keys.revoke(lasting[:9])
    assert keys.principal(lasting) is None
    assert keys.principal(second) is not None


def test_too_many_are_refused_for_a_while_by_name():
    limit = RateLimit(2)
    limit.count("anna")
    limit.count("anna")
    with pytest.raises(RateLimited) as refused:
        limit.count("anna")
    assert 1 <= refused.value.retry_after <= 61
    limit.count("ben")
    for _ in range(100):
        RateLimit(0).count("anna")


@pytest.fixture
def closed(catalog, settings):
    auth = settings.auth.model_copy(update={"required": True, "attempts_per_minute": 2, "requests_per_minute": 3})
    return Authenticator(settings.model_copy(update={"auth": auth}), catalog.database)


def basic(name, password):
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def test_guessing_passwords_is_stopped_by_address_though_the_next_one_verify_password(users, closed):
    users.add("anna", PASSWORD)
    for _ in range(2):
        with pytest.raises(Unauthorized):
            closed.by_header(basic("anna", "wrong password"), "10.0.0.1")
    with pytest.raises(RateLimited):
        closed.by_header(basic("anna", PASSWORD), "10.0.0.1")
    assert closed.by_header(basic("anna", PASSWORD), "10.0.0.2").name == "anna"


def test_guessing_from_many_addresses_is_stopped_by_user(users, closed):
    users.add("anna", PASSWORD)
    for number in range(20):
        with pytest.raises(Unauthorized):
            closed.by_header(basic("anna", "wrong password"), f"10.0.0.{number}")
    with pytest.raises(RateLimited):
        closed.by_header(basic("anna", PASSWORD), "10.0.1.1")


def test_wrong_keys_are_counted_by_address_and_right_ones_let_in_all_the_same(users, keys, closed):
    anna = users.add("anna").id
    key, other = keys.create(anna), keys.create(anna)
    for _ in range(2):
        with pytest.raises(Unauthorized):
            closed.by_header("Bearer fn-wrong", "10.0.0.1")
    with pytest.raises(RateLimited):
        closed.by_header("Bearer fn-wrong", "10.0.0.1")
    with pytest.raises(Unauthorized):
        closed.by_header("Bearer fn-wrong", "10.0.0.2")
    for _ in range(3):
        assert closed.by_header(f"Bearer {key}", "10.0.0.1").name == "anna"
    with pytest.raises(RateLimited):
        closed.by_header(f"Bearer {key}", "10.0.0.9")
    assert closed.by_header(f"Bearer {other}", "10.0.0.1").name == "anna", "each key has its own share"


def test_nobody_vouches_for_the_machines_owner(closed):
    assert closed.by_trusted_name("local") is None


def test_the_machine_itself_gets_no_password(users):
    for change in (lambda: users.set_password("local", PASSWORD), lambda: users.set_admin("local", is_admin=False)):
        with pytest.raises(InvalidRequest):
            change()


def test_an_open_server_takes_any_word_for_a_key_but_no_wrong_one_of_ours(catalog, users, keys, settings):
    authenticator = Authenticator(settings, catalog.database)
    for header in ("", "Bearer none", "Bearer sk-123", "Basic eDp5", "nonsense"):
        assert authenticator.by_header(header, "127.0.0.1").id == LOCAL_PRINCIPAL
    key = keys.create(users.add("anna").id)
    assert authenticator.by_header(f"bearer {key}", "127.0.0.1").name == "anna"
    keys.revoke(key[:9])
    with pytest.raises(Unauthorized):
        authenticator.by_header(f"Bearer {key}", "127.0.0.1")
