"""Restores a backup over copies of a storage folder, and dies before each of the steps that move or delete a folder.

python -m tests.rag.operations.archive.restore_and_die BACKUP STORAGE COPIES
"""

from __future__ import annotations

import os
import shutil
import sys
from itertools import chain, count
from pathlib import Path

from rag.operations.archive.reader import Archive
from rag.operations.archive.restore import restore
from rag.settings import Settings

DIED = 9


def main(backup: Path, storage: Path, copies: Path) -> None:
    for step in count(1):
        copy = copies / f"{step:02}"
        shutil.copytree(storage, copy)
        if not (child := os.fork()):
            die_before(step, copy)
            with Archive(backup) as archive:
                settings = Settings(_env_file=None, storage={"dir": copy}, embedding={"model": "bag-of-words"})
                for _ in chain(archive.verify(), restore(settings, archive, overwrite=True)):
                    pass
            os._exit(0)
        if (code := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])) != DIED:
            sys.exit(code)


def die_before(step: int, folder: Path) -> None:
    """End this process, as `kill -9` does, before the step of that number."""
    steps = iter(range(1, step))

    def look(event: str, arguments: tuple) -> None:
        is_step = event in ("os.rename", "shutil.rmtree") and Path(os.fspath(arguments[0])).is_relative_to(folder)
        if is_step and next(steps, None) is None:
            os._exit(DIED)

    sys.addaudithook(look)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
