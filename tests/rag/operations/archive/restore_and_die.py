"""Restores a backup over a storage folder, and dies before the step of that number: of those that move or delete a part
of it, or open a catalog that is to be put into PostgreSQL.

python -m tests.rag.operations.archive.restore_and_die BACKUP STORAGE STEP [DATABASE_URL]
"""

from __future__ import annotations

import os
import sys
from itertools import chain
from pathlib import Path

from rag.operations.archive.reader import Archive
from rag.operations.archive.restore import restore
from rag.settings import Settings
from rag.storage.database import CATALOG_NAME

DIED = 9


def main(backup: str, storage: str, step: str, database_url: str = "") -> None:
    die_before(int(step), Path(storage))
    place = {"dir": storage, "database_url": database_url}
    settings = Settings(_env_file=None, storage=place, embedding={"model": "bag-of-words"})
    with Archive(Path(backup)) as archive:
        for _ in chain(archive.verify(), restore(settings, archive, overwrite=True)):
            pass


def die_before(step: int, folder: Path) -> None:
    """End this process, as `kill -9` does, before the step of that number."""
    steps = iter(range(1, step))
    restored = str(folder / "restored" / CATALOG_NAME)

    def look(event: str, arguments: tuple) -> None:
        is_move = event in ("os.rename", "shutil.rmtree") and Path(os.fspath(arguments[0])).is_relative_to(folder)
        is_exchange = event in ("os.remove", "sqlite3.connect") and os.fspath(arguments[0]) == restored
        if (is_move or is_exchange) and next(steps, None) is None:
            os._exit(DIED)

    sys.addaudithook(look)


if __name__ == "__main__":
    main(*sys.argv[1:])
