"""Finds out who asks: by an API key, or by name and password. Wrong ones are counted, and soon not heard any more."""

from __future__ import annotations

import base64
import binascii

from rag.auth.api_keys import ApiKeys
from rag.auth.passwords import KEY_PREFIX
from rag.auth.principals import LOCAL, Principal
from rag.auth.rate_limit import RateLimit
from rag.auth.sessions import Sessions
from rag.auth.users import Users
from rag.errors import Conflict, InvalidRequest, Unauthorized
from rag.settings import Settings
from rag.storage.database import Database
from rag.types.documents import LOCAL_NAME

_ADDRESSES_PER_USER = 10  # so many it takes to keep a user out, where one would be enough to guess
_NO_KEY = "An API key is needed."
_HINT = "Send `Authorization: Bearer fn-…`; `rag keys create --user NAME` makes a key."


class Authenticator:
    """Who may come in. Methods block: a key takes a fraction of a millisecond, a password 50."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.is_closed = settings.is_closed
        self.user_header = settings.auth.user_header if settings.is_closed else ""
        self._signs_up = settings.auth.sign_up
        self._keys = ApiKeys(database)
        self.users = Users(database)
        self.sessions = Sessions(database)
        self._attempts = RateLimit(settings.auth.attempts_per_minute)  # of an address
        self._passwords = RateLimit(_ADDRESSES_PER_USER * settings.auth.attempts_per_minute)  # for a user
        self._requests = RateLimit(settings.auth.requests_per_minute)

    def by_header(self, authorization: str, address: str) -> Principal:
        """Who sends this `Authorization` header from that address. On an open server everybody is its owner, but who
        sends a key of ours is whom it stands for. Raises Unauthorized, RateLimited."""
        scheme, _, credentials = authorization.partition(" ")
        credentials = credentials.strip()
        if scheme.lower() == "bearer" and (self.is_closed or credentials.startswith(KEY_PREFIX)):
            return self.counted(self._by_key(credentials, address))
        if not self.is_closed:
            return LOCAL
        if scheme.lower() == "basic":
            name, _, secret = _decoded(credentials).partition(":")
            if secret.startswith(KEY_PREFIX):
                return self.counted(self._by_key(secret, address, name))
            self.count_attempt(address)
            return self.counted(self.by_password(name, secret))
        raise Unauthorized(_NO_KEY, hint=_HINT)

    def by_password(self, name: str, password: str) -> Principal:
        """Who logs in with that name and password. Every try counts, before it is looked at: many at once must not get
        through. Raises Unauthorized, RateLimited."""
        self._passwords.count(name)
        user = self.users.with_password(name, password)
        if user is None:
            raise Unauthorized("Wrong user or password.")
        return user.principal

    def count_attempt(self, address: str) -> None:
        """Count a password, or a wrong key, from that address. Raises RateLimited."""
        self._attempts.count(address)

    def by_trusted_name(self, name: str) -> Principal | None:
        """The user of that name, for whom a proxy or a provider vouches; added if that is allowed, else None."""
        principal = None if name == LOCAL_NAME else self.users.find(name)
        if principal is None and self._signs_up:
            try:
                return self.users.add(name).principal
            except Conflict:  # added at the same moment
                return self.users.find(name)
            except InvalidRequest:
                return None
        return principal

    def counted(self, principal: Principal) -> Principal:
        """The same, after a request of that user or key was counted. Raises RateLimited."""
        if self.is_closed:
            self._requests.count(principal.key_id or principal.id)
        return principal

    def _by_key(self, key: str, address: str, name: str | None = None) -> Principal:
        """Whom a key stands for; with a name, it must be that user's. A right key is let in whatever else comes from
        its address: keys cannot be guessed."""
        principal = self._keys.principal(key) if key else None
        if principal is None or name not in (None, principal.name):
            self.count_attempt(address)
            raise Unauthorized("This API key is unknown, expired or revoked." if key else _NO_KEY, hint=_HINT)
        return principal


def _decoded(credentials: str) -> str:
    try:
        return base64.b64decode(credentials, validate=True).decode()
    except (ValueError, binascii.Error):
        return ""
