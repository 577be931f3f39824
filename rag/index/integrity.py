"""Whether the files of the vectors and of the words are what was written.

Chroma has no checksums, and crashes, hangs or leaves passages out over files that are damaged. It writes them while it
is open: in calls that write, at its opening, and when it first reads a graph. So all that time a mark stands beside
them, and when they are closed, size, time and hash of each are noted. Files that are not as noted while there is no
mark are damaged. Under a mark, which a process that was killed leaves, they may be anything, and are probed in a
process of its own, which may crash or hang (probe.py). tantivy's files never change, and each ends with a checksum of
its own; so of those only what is not as noted is read.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import struct
import subprocess
import threading
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from rag.index.vector_copy import COPY_NAME
from rag.storage.child_process import bare_environment, module_command
from rag.storage.file_hash import hash_of

logger = logging.getLogger(__name__)

_NOTE, _MARK = "note.json", "being-written"
_OURS = (_NOTE, _MARK, COPY_NAME)  # the copy's rows have checksums
_PASSING = ("-wal", "-shm", "-journal", ".new", ".lock")  # ends of files that come and go
PROBED_SOUND = "sound"  # what a probe prints that found nothing wrong
# Seconds of processor time in which a probe of a small index is done many times over, and those of one that reads
# gigabytes; a probe of everything has ten times as many of these. Who needs more hangs. A slow machine does not count:
# the clock may go ten times as far.
_PATIENCE, _PATIENCE_A_BYTE = 60.0, 5e-7
_SLOWNESS = 10
_CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE)  # what nobody sends from outside
_FOOTER_MAGIC = 1337  # of tantivy
_BLOCK = 1 << 20  # bytes read at once


class Differences(NamedTuple):
    """The names of the files that are not as they were noted, or gone; and of those that may be as they should: only
    their size or time is another, and their bytes were not noted."""

    damaged: list[str]
    doubtful: list[str]


class FolderNote:
    """The note of what the files in the folder of an index are; methods may be called from any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path, self._mark = folder / _NOTE, folder / _MARK
        self._lock = threading.Lock()
        self._is_doubted = False

    @property
    def is_certain(self) -> bool:
        """Whether the files must be as they were noted: there is a note, and nobody died while they were open."""
        return bool(self._read()) and not self._mark.exists()

    def begin(self) -> None:
        """Mark the folder: from now on its files may change. A mark that is there already, over files that were not
        found sound, stays until they are."""
        self._is_doubted = self._mark.exists()
        self._mark.touch()

    def doubt(self) -> None:
        """Keep the mark at the end, so that the next start probes the folder: a search failed over it."""
        self._is_doubted = True

    def end(self) -> None:
        """The files change no more: note what they are, and take the mark away."""
        if not self._is_doubted:
            self.trust()

    def trust(self) -> None:
        """Note what the files are, which nobody has open and which are known to be sound."""
        self.write(with_hashes=True)
        self._mark.unlink(missing_ok=True)

    def differences(self, *, deep: bool = False) -> Differences:
        """What is not as it was noted: by size and time, and only where these differ by the bytes; `deep` reads all."""
        found, noted = self.statuses(), self._read()
        differences = Differences([], [])
        for name, (*status, digest) in sorted(noted.items()):
            if name not in found:
                differences.damaged.append(name)
            elif digest and (deep or found[name] != status):
                if found[name][0] != status[0] or hash_of(self._folder / name) != digest:
                    differences.damaged.append(name)
            elif found[name] != status:
                differences.doubtful.append(name)
        return differences

    def unchanged(self) -> set[str]:
        """The names of the files that have the size and time that were noted."""
        found = self.statuses()
        return {name for name, (*status, _) in self._read().items() if found.get(name) == status}

    def write(self, *, with_hashes: bool = False) -> None:
        """Note what the files are now; the hashes of those that have not changed are kept."""
        with self._lock:
            before, noted = self._read(), dict[str, Any]()
            for name, status in self.statuses().items():
                digest = before[name][2] if name in before and before[name][:2] == status else ""
                noted[name] = [*status, digest or (hash_of(self._folder / name) if with_hashes else "")]
            if noted != before:
                fresh = self._path.with_suffix(".new")
                fresh.write_text(json.dumps(noted))
                fresh.replace(self._path)

    def _read(self) -> dict[str, Any]:
        try:
            noted = json.loads(self._path.read_text())
            return {str(name): [int(size), int(time), str(digest)] for name, (size, time, digest) in noted.items()}
        except (OSError, ValueError, TypeError, AttributeError):  # none, or damaged itself
            return {}

    def statuses(self) -> dict[str, list[int]]:
        """Size and time of all files, by their names in the folder."""
        found: dict[str, list[int]] = {}
        for folder in ["", *(entry.name for entry in os.scandir(self._folder) if entry.is_dir())]:
            for entry in os.scandir(self._folder / folder):
                name = str(Path(folder, entry.name))
                if entry.is_file() and name not in _OURS and not name.endswith(_PASSING):
                    status = entry.stat()
                    found[name] = [status.st_size, status.st_mtime_ns]
        return found


def damage_of_vectors(folder: Path, *, deep: bool = False) -> str:
    """What is wrong with the vectors in the folder, which nobody has open; empty where nothing is known to be.
    Blocking: some milliseconds where the files are as noted, seconds where they must be probed; `deep` reads and asks
    for all. Raises OSError where a folder that must be probed cannot be written to, as Chroma does while it reads."""
    if not folder.exists():
        return ""
    note = FolderNote(folder)
    is_certain = note.is_certain
    if is_certain:
        differences = note.differences(deep=deep)
        if differences.damaged:
            return f"{', '.join(differences.damaged[:3])} changed while nobody was writing"
        if not differences.doubtful and not deep:
            return ""
    elif not (folder / "chroma.sqlite3").exists():  # nothing to ask; what the catalog says will not be there
        return ""
    note.begin()
    problem = _probed(folder, deep=deep)
    if problem == "":
        note.trust()
    return problem or ""


def _probed(folder: Path, *, deep: bool) -> str | None:
    """What a probe finds wrong; None where it came to no end, and not because of the files."""
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    patience = _PATIENCE + size * _PATIENCE_A_BYTE * (10 if deep else 1)
    # absolute: what begins with a dash is an option
    command = module_command(
        "rag.index.probe", str(folder.absolute()), f"{patience:.0f}", *(["--deep"] if deep else [])
    )
    try:
        ended = subprocess.run(  # noqa: S603
            command,
            env=bare_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=patience * _SLOWNESS,
            check=False,
            start_new_session=True,  # Ctrl-C in the terminal is for the parent
        )
    except (subprocess.TimeoutExpired, OSError) as error:
        logger.warning("Whether the vectors in %s are sound could not be found out: %s", folder, error)
        return None
    problem = ended.stdout.strip()
    if ended.returncode == 0 and problem:
        return "" if problem == PROBED_SOUND else problem
    if ended.returncode == -signal.SIGXCPU:
        return f"Chroma did not answer within {patience:.0f} seconds of processor time"
    if -ended.returncode in _CRASHES:
        return f"Chroma ends with signal {-ended.returncode}"
    last = (ended.stderr.strip().splitlines() or [f"the probe ended with {ended.returncode}"])[-1][:200]
    logger.warning("Whether the vectors in %s are sound could not be found out: %s", folder, last)
    return None


def count_of_words(folder: Path) -> int:
    """How many chunks tantivy says it has, without opening it. Raises OSError, ValueError."""
    segments = json.loads((folder / "meta.json").read_text())["segments"]
    return sum(s["max_doc"] - (s["deletes"] or {}).get("num_deleted_docs", 0) for s in segments)


def damage_of_words(folder: Path, *, deep: bool = False) -> str:
    """What is wrong with tantivy's files in the folder; empty where nothing is. Those are read that are not of the size
    and time with which they were found sound before; `deep` reads all."""
    try:
        metadata = json.loads((folder / "meta.json").read_text())
        segments = [(segment["segment_id"].replace("-", ""), segment["deletes"]) for segment in metadata["segments"]]
        suffixes = ("fast", "fieldnorm", "idx", "pos", "store", "term")
        files = {f"{name}.{suffix}" for name, _ in segments for suffix in suffixes}
        files |= {f"{name}.{deletes['opstamp']}.del" for name, deletes in segments if deletes}
        json.loads((folder / ".managed.json").read_text())
    except FileNotFoundError as error:  # an empty folder is filled, too
        return f"{Path(error.filename).name} is gone" if any(folder.glob("*.term")) else ""
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return "meta.json or .managed.json cannot be read"
    note = FolderNote(folder)
    unread = files if deep else files - note.unchanged()
    damaged = sorted(name for name in unread if not _has_its_checksum(folder / name))
    if damaged:
        return f"{', '.join(damaged[:3])} damaged"
    with suppress(OSError):  # then they are read again next time
        note.write()
    return ""


def _has_its_checksum(path: Path) -> bool:
    """Whether a file of tantivy's is as it was written: behind its bytes stand a JSON object with their checksum, the
    object's length, and a number that says so."""
    try:
        with path.open("rb") as file:
            end = file.seek(-8, os.SEEK_END)
            length, magic = struct.unpack("<II", file.read())
            left = file.seek(end - length)
            expected = json.loads(file.read(length))["crc"]
            file.seek(checksum := 0)
            while left and (block := file.read(min(left, _BLOCK))):
                checksum = zlib.crc32(block, checksum)
                left -= len(block)
    except (OSError, ValueError, TypeError, KeyError, struct.error):
        return False
    return bool(magic == _FOOTER_MAGIC and checksum == expected)
