"""Whether the files of the vectors and of the words are what was written.

Chroma has no checksums, and crashes, hangs or leaves passages out over files that are damaged. It writes them within
calls that write, and at its opening, at no other time; so after each of these size and time of every file are noted,
and their hashes when the index is closed. While Chroma writes, a mark stands beside the note: if the process dies
then, the files may be anything, and are probed in a process of its own, which may crash or hang (probe.py). Files that
changed while nobody was writing are damaged. tantivy's files never change, and each ends with a checksum of its own.
"""

from __future__ import annotations

import json
import logging
import os
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rag.index.vector_copy import COPY_NAME
from rag.storage.blobs import hash_of

logger = logging.getLogger(__name__)

_NOTE, _MARK = "note.json", "being-written"
_OURS = (_NOTE, _MARK, COPY_NAME)  # the copy's rows have checksums
_PASSING = ("-wal", "-shm", "-journal", ".new")  # ends of files that come and go
_PATIENCE = 30.0  # seconds for a probe to start, and to be done with a small index
_PATIENCE_A_BYTE = 5e-7  # … and for one that reads gigabytes; a probe of everything has ten times as long
_FOOTER_MAGIC = 1337  # of tantivy


class FolderNote:
    """The note of what the files in the folder of an index are; methods may be called from any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path, self._mark = folder / _NOTE, folder / _MARK
        self._lock = threading.RLock()
        self._noted: dict[str, Any] | None = None

    @property
    def is_certain(self) -> bool:
        """Whether the files must be as they were noted: there is a note, and nobody died while writing."""
        return bool(self._read()) and not self._mark.exists()

    def trust(self) -> None:
        """Note what the files are, which were looked at and opened."""
        with self._lock:
            self.write()
            self._mark.unlink(missing_ok=True)

    def distrust(self) -> None:
        """Let the next start probe the folder."""
        self._mark.touch()

    def changed(self, *, deep: bool = False) -> list[str]:
        """The names of the files that are gone or not as they were noted: by size and time, and only where these differ
        by their bytes; `deep` reads all."""
        found, noted = self._files(), self._read()
        return [
            name
            for name in sorted(noted)
            if name not in found or not self._fits(name, found[name], noted[name], deep=deep)
        ]

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Within the block files are written; at its end they are noted."""
        with self._lock:
            was_certain = not self._mark.exists()
            self._mark.touch()
            yield
            self.write()
            if was_certain:
                self._mark.unlink(missing_ok=True)

    def write(self, *, with_hashes: bool = False) -> None:
        """Note what the files are now; the hashes of those that have not changed are kept."""
        with self._lock:
            before = self._read() if self._noted is None else self._noted
            noted: dict[str, Any] = {}
            for name, status in self._files().items():
                digest = before[name][2] if name in before and before[name][:2] == status else ""
                noted[name] = [*status, digest or (hash_of(self._folder / name) if with_hashes else "")]
            if noted != before:
                fresh = self._path.with_suffix(".new")
                fresh.write_text(json.dumps(noted))
                fresh.replace(self._path)
            self._noted = noted

    def _read(self) -> dict[str, Any]:
        try:
            noted = json.loads(self._path.read_text())
            return {str(name): [int(size), int(time), str(digest)] for name, (size, time, digest) in noted.items()}
        except (OSError, ValueError, TypeError, AttributeError):  # none, or damaged itself
            return {}

    def _files(self) -> dict[str, list[int]]:
        """Size and time of all files, by their names in the folder."""
        found: dict[str, list[int]] = {}
        for folder in ["", *(entry.name for entry in os.scandir(self._folder) if entry.is_dir())]:
            for entry in os.scandir(self._folder / folder):
                name = os.path.join(folder, entry.name)  # noqa: PTH118 - a thousand times a second
                if entry.is_file() and name not in _OURS and not name.endswith(_PASSING):
                    status = entry.stat()
                    found[name] = [status.st_size, status.st_mtime_ns]
        return found

    def _fits(self, name: str, status: list[int], noted: list[Any], *, deep: bool) -> bool:
        is_untouched, digest = status == noted[:2], noted[2]
        if is_untouched and not (deep and digest):
            return True
        return bool(digest) and status[0] == noted[0] and hash_of(self._folder / name) == digest


def damage_of_vectors(folder: Path, *, deep: bool = False) -> str:
    """What is wrong with the vectors in the folder, which nobody has open; empty where nothing is. Blocking: some
    milliseconds where the files are as noted, seconds where they must be probed; `deep` reads and asks for all."""
    if not folder.exists():
        return ""
    note = FolderNote(folder)
    changed = note.changed(deep=deep)
    if note.is_certain and changed:
        return f"{', '.join(changed[:3])} changed while nobody was writing"
    if not any(folder.iterdir()) or (note.is_certain and not deep):
        return ""
    return _probed(folder, deep=deep)


def _probed(folder: Path, *, deep: bool) -> str:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    patience = _PATIENCE + size * _PATIENCE_A_BYTE * (10 if deep else 1)
    command = [sys.executable, "-m", "rag.index.probe", str(folder), *(["--deep"] if deep else [])]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=patience, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return f"Chroma did not answer within {patience:.0f} seconds"
    if ended.returncode == 0:
        return ended.stdout.strip()
    logger.info("The probe of %s ended so: %s", folder, ended.stderr)
    last = (ended.stderr.strip().splitlines() or [""])[-1][:200]
    return f"Chroma ends with signal {-ended.returncode}" if ended.returncode < 0 else f"Chroma fails: {last}"


def count_of_words(folder: Path) -> int:
    """How many chunks tantivy says it has, without opening it. Raises OSError, ValueError."""
    segments = json.loads((folder / "meta.json").read_text())["segments"]
    return sum(s["max_doc"] - (s["deletes"] or {}).get("num_deleted_docs", 0) for s in segments)


def damage_of_words(folder: Path) -> str:
    """What is wrong with tantivy's files in the folder, of which all are read; empty where nothing is."""
    try:
        metadata = json.loads((folder / "meta.json").read_text())
        segments = [(segment["segment_id"].replace("-", ""), segment["deletes"]) for segment in metadata["segments"]]
        suffixes = ("fast", "fieldnorm", "idx", "pos", "store", "term")
        files = [f"{name}.{suffix}" for name, _ in segments for suffix in suffixes]
        files += [f"{name}.{deletes['opstamp']}.del" for name, deletes in segments if deletes]
        json.loads((folder / ".managed.json").read_text())
    except FileNotFoundError as error:  # an empty folder is filled, too
        return f"{Path(error.filename).name} is gone" if any(folder.glob("*.term")) else ""
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return "meta.json or .managed.json cannot be read"
    damaged = [name for name in files if not _has_its_checksum(folder / name)]
    return f"{', '.join(damaged[:3])} damaged" if damaged else ""


def _has_its_checksum(path: Path) -> bool:
    """Whether a file of tantivy's is as it was written: behind its bytes stand a JSON object with their checksum, the
    object's length, and a number that says so."""
    try:
        content = memoryview(path.read_bytes())
        length, magic = struct.unpack("<II", content[-8:])
        checksum = json.loads(bytes(content[-8 - length : -8]))["crc"]
    except (OSError, ValueError, TypeError, KeyError, struct.error):
        return False
    return bool(magic == _FOOTER_MAGIC and zlib.crc32(content[: -8 - length]) == checksum)
