"""The users: who they are, and their passwords."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from rag.auth.passwords import hash_password, verify_password
from rag.auth.principals import Principal
from rag.auth.sessions import end_sessions
from rag.errors import Conflict, InvalidRequest, NotFound
from rag.storage import schema
from rag.storage.database import Database, Row
from rag.storage.ids import new_id, now
from rag.storage.rows import insert
from rag.types.documents import LOCAL_NAME, LOCAL_PRINCIPAL

SHORTEST_PASSWORD = 8
_NAME = re.compile(r"(?=.{1,128}$)(\w[\w-]*:)?\w[\w.@+-]*")  # before a colon: the OAuth provider that vouches for it
_HANDED_OVER = ("collections", "documents", "files", "jobs")
_PERSONAL = ("responses", "response_conversations", "uploads", "votes", "conversations")
_COLUMNS = "p.id, p.name, p.is_admin, p.password, p.created_at"


@dataclass(frozen=True, slots=True)
class User:
    """A user; without a password there are only API keys to come in with. The time is ISO 8601, UTC."""

    id: str
    name: str
    is_admin: bool
    has_password: bool
    created_at: str

    @property
    def principal(self) -> Principal:
        """The user as one who asks."""
        return Principal(self.id, self.name, self.is_admin)


class Users:
    """The table of users. Methods block for milliseconds, those that hash a password for 50."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[User]:
        """All users by name; the owner of this machine is none of them."""
        rows = self._database.read(
            f"SELECT {_COLUMNS} FROM principals p WHERE p.id <> :local ORDER BY p.name", local=LOCAL_PRINCIPAL
        )
        return [_user(row) for row in rows]

    def names(self, user_ids: Collection[str]) -> list[str]:
        """What the users with these ids are called, by name."""
        return [user.name for user in self.all() if user.id in user_ids]

    def get(self, name: str) -> User:
        """The user of that name. Raises NotFound."""
        row = self._row(name)
        if row is None:
            raise NotFound(f"There is no user {name!r}.", hint="`rag users list` shows the users.")
        return _user(row)

    def find(self, name: str) -> Principal | None:
        """The user of that name as one who asks; None if there is none."""
        row = self._row(name)
        return None if row is None else _user(row).principal

    def add(self, name: str, password: str = "", *, is_admin: bool = False) -> User:
        """A new user. Raises InvalidRequest for an unfit name or password, Conflict when there is one of that name."""
        if not _NAME.fullmatch(name) or name == LOCAL_NAME:
            raise InvalidRequest(
                f"{name!r} cannot be a user's name.",
                hint="Letters, digits and . _ @ + - may be in it, 128 at most, and `local` is taken.",
                param="name",
            )
        stored = _checked(password) if password else ""
        with self._database.transaction() as connection:
            if connection.execute("SELECT 1 FROM principals WHERE name = :name", name=name).fetchone():
                raise Conflict(f"There is a user {name!r} already.", hint="`rag users password` changes the password.")
            connection.execute(
                insert(schema.principals),
                id=new_id("prn"),
                name=name,
                created_at=now(),
                password=stored,
                is_admin=is_admin,
            )
        return self.get(name)

    def set_password(self, name: str, password: str, kept_session: str = "") -> None:
        """Change a password, and end the user's sessions, but for one. Raises NotFound, InvalidRequest for an unfit
        password."""
        user, stored = self._changeable(name), _checked(password)
        with self._database.transaction() as connection:
            connection.execute("UPDATE principals SET password = :stored WHERE id = :id", stored=stored, id=user.id)
            end_sessions(connection, user.id, kept_session)

    def set_admin(self, name: str, *, is_admin: bool) -> None:
        """Make a user an admin, or no more. Raises NotFound."""
        self._database.write(
            "UPDATE principals SET is_admin = :is_admin WHERE id = :id", is_admin=is_admin, id=self._changeable(name).id
        )

    def delete(self, name: str, heir: str = "") -> None:
        """Delete a user with all keys, sessions, conversations and kept answers. Collections and uploads go to `heir`;
        with none given, and some there, raises Conflict. Raises NotFound."""
        user, new_owner = self._changeable(name), self.get(heir).id if heir else ""
        if user.id == new_owner:
            raise InvalidRequest(f"{name!r} cannot be their own heir.", hint="Name another user.")
        with self._database.transaction() as connection:
            for table in _PERSONAL:
                connection.execute(f"DELETE FROM {table} WHERE owner_id = :id", id=user.id)
            for table in _HANDED_OVER:
                if new_owner:
                    connection.execute(
                        f"UPDATE {table} SET owner_id = :heir WHERE owner_id = :id", heir=new_owner, id=user.id
                    )
                elif connection.execute(f"SELECT 1 FROM {table} WHERE owner_id = :id LIMIT 1", id=user.id).fetchone():
                    raise Conflict(
                        f"{name} still owns something ({table}).",
                        hint=f"Hand it over: `rag users remove {name} --heir NAME`; `{LOCAL_NAME}` is this machine's.",
                    )
            connection.execute("DELETE FROM principals WHERE id = :id", id=user.id)

    def with_password(self, name: str, password: str) -> User | None:
        """The user of that name, if that is the password; None otherwise, after the same time."""
        row = self._row(name)
        is_theirs = verify_password("" if row is None else row.password, password)
        return _user(row) if row is not None and is_theirs else None

    def anybody_may_log_in(self) -> bool:
        """Whether there is a password or an API key that opens something."""
        return bool(
            self._database.read(
                "SELECT 1 FROM principals WHERE password <> '' UNION ALL "
                "SELECT 1 FROM keys WHERE expires_at IS NULL OR expires_at > :now LIMIT 1",
                now=now(),
            )
        )

    def _row(self, name: str) -> Row | None:
        return self._database.first(f"SELECT {_COLUMNS} FROM principals p WHERE p.name = :name", name=name)

    def _changeable(self, name: str) -> User:
        user = self.get(name)
        if user.id == LOCAL_PRINCIPAL:
            raise InvalidRequest(f"{name!r} is this machine itself.", hint="Name a user: `rag users list`.")
        return user


def _user(row: Row) -> User:
    return User(row.id, row.name, bool(row.is_admin), bool(row.password), row.created_at)


def _checked(password: str) -> str:
    if len(password) < SHORTEST_PASSWORD:
        raise InvalidRequest(
            f"The password has fewer than {SHORTEST_PASSWORD} characters.",
            hint="A few words in a row are good ones.",
            param="password",
        )
    return hash_password(password)
