"""`rag users`, `rag keys`, `rag share`: who may come in, and what they may read. They work beside a running server."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from rag.cli.runner import debug_option, load_settings

if TYPE_CHECKING:
    from rag.auth.users import Users
    from rag.storage.catalog import Catalog

_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


class _Lifetime(click.ParamType[timedelta]):
    """A number of hours, days or weeks, such as `30d`."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """The time."""
        match = re.fullmatch(r"(\d{1,4})([hdw])", str(value))
        if match is None or not int(match[1]):
            self.fail(f"{value!r} is no time such as 12h, 30d or 4w.", param, ctx)
        return timedelta(**{_UNITS[match[2]]: int(match[1])})


@contextmanager
def _catalog() -> Iterator[Catalog]:
    from rag.storage.connect import open_catalog

    with closing(open_catalog(load_settings().storage)) as catalog:
        yield catalog


@contextmanager
def _users() -> Iterator[Users]:
    from rag.auth.users import Users

    with _catalog() as catalog:
        yield Users(catalog.database)


# -------------------------------------------------------------------------------------------------------------- users


@click.group()
def users() -> None:
    """Who may log in to the chat, and whom API keys belong to."""


@users.command("add")
@click.argument("name")
@click.option("--admin", "is_admin", is_flag=True, help="May do everything, with everybody's documents.")
@click.option("--without-password", is_flag=True, help="A user who comes in with API keys only.")
@debug_option
def add_user(name: str, *, is_admin: bool, without_password: bool) -> None:
    """Add a user; the password is asked for, or read from a pipe: `echo secret | rag users add anna`."""
    password = "" if without_password else _ask_password()
    with _users() as known:
        known.add(name, password, is_admin=is_admin)
    click.echo(f"{name} may come in{' as an admin' if is_admin else ''}.")


@users.command("list")
@debug_option
def list_users() -> None:
    """Show the users."""
    with _users() as known:
        all_users = known.all()
    for user in all_users:
        notes = [*(["admin"] if user.is_admin else []), *([] if user.has_password else ["no password"])]
        click.echo(f"{user.name}  since {user.created_at[:10]}{''.join(f', {note}' for note in notes)}")
    if not all_users:
        click.echo("There are no users yet: `rag users add NAME`.")


@users.command("password")
@click.argument("name")
@debug_option
def change_password(name: str) -> None:
    """Change a user's password, which ends their sessions; it is asked for, or read from a pipe."""
    with _users() as known:
        known.get(name)
        known.set_password(name, _ask_password())
    click.echo(f"The password of {name} is changed.")


@users.command("logout")
@click.argument("name")
@debug_option
def log_out(name: str) -> None:
    """End all sessions of a user; where they are logged in, the next request is refused."""
    from rag.auth.sessions import Sessions
    from rag.auth.users import Users

    with _catalog() as catalog:
        count = Sessions(catalog.database).end_all(Users(catalog.database).get(name).id)
    click.echo(f"{name} is logged out of {count} {'session' if count == 1 else 'sessions'}.")


@users.command("admin")
@click.argument("name")
@click.option("--no", "is_admin", flag_value=False, default=True, help="Make an admin an ordinary user again.")
@debug_option
def make_admin(name: str, *, is_admin: bool) -> None:
    """Make a user an admin."""
    with _users() as known:
        known.set_admin(name, is_admin=is_admin)
    click.echo(f"{name} is {'an admin' if is_admin else 'an ordinary user'} now.")


@users.command("remove")
@click.argument("name")
@click.option("--heir", default="", help="Who gets the user's collections and uploads; `local` is this machine.")
@debug_option
def remove_user(name: str, heir: str) -> None:
    """Remove a user with all keys and conversations."""
    with _users() as known:
        known.delete(name, heir)
    click.echo(f"{name} is gone.")


def _ask_password() -> str:
    if not sys.stdin.isatty():
        password = sys.stdin.readline().rstrip("\r\n")
        if not password:
            raise click.UsageError("There is no password; --without-password adds a user who has none.")
        return password
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))


# --------------------------------------------------------------------------------------------------------------- keys


@click.group()
def keys() -> None:
    """API keys: `Authorization: Bearer fn-…`."""


@keys.command("create")
@click.option("--user", "user_name", required=True, help="Whom the key stands for; a new user is added.")
@click.option("--name", default="", help="What the key is for, shown in lists.")
@click.option("--collection", "collections", multiple=True, help="Only this collection; may be repeated.")
@click.option("--read-only", is_flag=True, help="May search and ask, and change nothing.")
@click.option("--expires", "lifetime", type=_Lifetime(), help="When the key ends, such as 12h, 30d or 4w.")
@debug_option
def create_key(
    user_name: str, name: str, collections: tuple[str, ...], *, read_only: bool, lifetime: timedelta | None
) -> None:
    """Make a key. It is shown once: only its hash is kept."""
    from rag.auth.access import Access
    from rag.auth.api_keys import ApiKeys
    from rag.auth.users import Users
    from rag.errors import NotFound

    with _catalog() as catalog:
        known = Users(catalog.database)
        try:
            user = known.get(user_name)
        except NotFound:
            user = known.add(user_name)
            click.echo(f"{user_name} is a new user, without a password.", err=True)
        access = Access(catalog, user.principal)
        ids = [access.collection(collection).id for collection in collections] or None
        key = ApiKeys(catalog.database).create(user.id, name, collections=ids, read_only=read_only, lifetime=lifetime)
    click.echo("Keep it now, it is not shown again:", err=True)
    click.echo(key)


@keys.command("list")
@debug_option
def list_keys() -> None:
    """Show the keys by their beginnings."""
    from rag.auth.api_keys import ApiKeys

    with _catalog() as catalog:
        titles = {collection.id: collection.title for collection in catalog.collections()}
        known = ApiKeys(catalog.database).all()
    for key in known:
        limits = [] if key.collections is None else [", ".join(titles.get(name, name) for name in key.collections)]
        limits += ["read only"] if key.read_only else []
        limits += [f"until {key.expires_at[:16]}"] if key.expires_at else []
        used = f"used {key.used_at[:16]}" if key.used_at else "never used"
        click.echo("  ".join([f"{key.prefix}…", key.user, *filter(None, [key.name]), *limits, used]))
    if not known:
        click.echo("There are no keys yet: `rag keys create --user NAME`.")


@keys.command("revoke")
@click.argument("beginning")
@debug_option
def revoke_key(beginning: str) -> None:
    """Revoke the key that begins so; it opens nothing from now on."""
    from rag.auth.api_keys import ApiKeys

    with _catalog() as catalog:
        key = ApiKeys(catalog.database).revoke(beginning)
    click.echo(f"{key.prefix}… of {key.user} is revoked.")


# ------------------------------------------------------------------------------------------------------------ sharing


@click.command()
@click.argument("collection")
@click.option("--with", "readers", multiple=True, help="A user who may read it; may be repeated.")
@click.option("--not-with", "removed", multiple=True, help="A user who may read it no more; may be repeated.")
@click.option("--public/--private", "public", default=None, help="Everybody who may come in, or only those named.")
@debug_option
def share(collection: str, readers: tuple[str, ...], removed: tuple[str, ...], *, public: bool | None) -> None:
    """Say who may read a collection. Without options: show who does."""
    from rag.auth import access
    from rag.auth.users import Users

    with _catalog() as catalog:
        known = Users(catalog.database)
        shared = access.share(
            catalog,
            catalog.collection(collection).id,
            add=[known.get(name).id for name in readers],
            delete=[known.get(name).id for name in removed],
            public=public,
        )
        names = known.names(shared.readers)
    who = "everybody who may come in" if shared.is_public else ", ".join(names) or "its owner only"
    click.echo(f"{shared.title or shared.id} can be read by {who}.")
