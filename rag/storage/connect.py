"""Which database the catalog is in: the one that the settings name, else the SQLite file in the storage folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag.settings import StorageSettings
from rag.storage.catalog import Catalog
from rag.storage.database import CATALOG_NAME, Database
from rag.storage.exchange import finish_interrupted, is_unfinished
from rag.storage.private import make_private
from rag.storage.sqlite import SqliteDatabase

if TYPE_CHECKING:
    from rag.storage.postgres import PostgresDatabase


def open_database(storage: StorageSettings) -> Database:
    """The database of the catalog, after a restore that was interrupted is finished; blocking, a moment. Raises
    ConfigurationError, Conflict, DatabaseUnavailable, StorageUnwritable, and StorageLocked while a restore goes on."""
    finish_interrupted(storage)
    database = open_postgres(storage)
    if database is not None:
        return database
    make_private(storage.dir)
    return SqliteDatabase(storage.dir / CATALOG_NAME)


def open_postgres(storage: StorageSettings) -> PostgresDatabase | None:
    """The PostgreSQL database that the settings name, if they do. Raises like `open_database`."""
    url = storage.database_url.get_secret_value()
    if not url:
        return None
    from rag.storage.postgres import PostgresDatabase

    return PostgresDatabase(url)


def database_password(storage: StorageSettings) -> str:
    """The password in the URL of the database, empty if there is none. Raises ConfigurationError."""
    url = storage.database_url.get_secret_value()
    if not url:
        return ""
    from rag.storage.postgres import password_of

    return password_of(url)


def open_catalog(storage: StorageSettings) -> Catalog:
    """The catalog. Raises like `open_database`."""
    return Catalog(open_database(storage))


def has_catalog(storage: StorageSettings) -> bool:
    """Whether there is a catalog: opening would make one in an empty folder. A database that is named counts as one,
    and so does one that is put in place, or back, when it is opened."""
    is_named = bool(storage.database_url.get_secret_value())
    return is_named or (storage.dir / CATALOG_NAME).exists() or is_unfinished(storage)
