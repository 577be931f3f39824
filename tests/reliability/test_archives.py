"""Archives made with intent: an import takes one in whole, or refuses it whole with an error of ours.

The seal of each fits, so what is under it is looked at. Nothing outside the storage folder is touched, time and memory
have bounds, and after a refusal the storage is as it was.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import sqlite3
import tracemalloc
import zipfile
from collections import Counter
from contextlib import closing

import hypothesis
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from rag.errors import RagError
from rag.index.index import Index
from rag.operations.archive.import_ import import_archive
from rag.operations.archive.reader import Archive
from rag.operations.archive.writer import back_up
from tests.rag.operations.archive.archives import Mute, build, last, tree
from tests.rag.operations.archive.test_reader import seal
from tests.rag.operations.archive.test_restore import bring_back
from tests.reliability.examples import number_of_examples, seed

pytestmark = pytest.mark.slow
MOST_MEMORY = 64 << 20  # bytes of Python's, for archives of some 100 kB
MOST_SECONDS = 20
ODD = st.sampled_from(
    [None, True, -1, 0, 1.5, 1e308, 2**63, 10**30, "", "x", "\0", "../../x", "/etc/passwd", "\ud800", [], {}, [[]]]
)
NAMES = [
    "../evil",
    "/tmp/footnote-evil",
    "files/../../evil",
    "collections/1/..",
    "C:\\evil",
    "files/",
    "",
    "a" * 5_000,
]


def places_in(value, place=()):
    """Where in a JSON value something stands."""
    yield place
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places_in(inner, (*place, key))


def replaced(value, place, other):
    """The value with another one at that place."""
    if not place:
        return other
    copied = value.copy()
    copied[place[0]] = replaced(value[place[0]], place[1:], other)
    return copied


def mangle_json(draw, members):
    name = draw(st.sampled_from([name for name in members if name.endswith((".json", ".jsonl")) and members[name]]))
    lines = members[name].splitlines()
    number = draw(st.integers(0, len(lines) - 1))
    try:
        value = json.loads(lines[number])
    except (ValueError, RecursionError):  # mangled before
        return
    if draw(st.booleans()):
        place = draw(st.sampled_from(list(places_in(value))))
        lines[number] = json.dumps(replaced(value, place, draw(ODD))).encode()
    else:
        lines[number] = draw(st.sampled_from([b"[" * 5000, b"{", b"\xff", b"", lines[number] * 2, b"NaN", b"1" * 5000]))
    members[name] = b"\n".join(lines) + b"\n"


def flip(draw, members):
    name = draw(st.sampled_from([name for name in members if members[name]]))
    data = bytearray(members[name])
    for place in draw(st.lists(st.integers(0, len(data) - 1), min_size=1, max_size=4)):
        data[place] ^= 1 << draw(st.integers(0, 7))
    members[name] = bytes(data)


def rename(draw, members):
    name = draw(st.sampled_from(list(members)))
    members[draw(st.sampled_from(NAMES))] = members.pop(name)


def add(draw, members):
    members[draw(st.sampled_from(NAMES))] = draw(st.binary(max_size=100))


def cut(draw, members):
    name = draw(st.sampled_from(list(members)))
    members[name] = members[name][: draw(st.integers(0, len(members[name])))]


def forge_catalog(draw, members):
    """A catalog with tables, views and triggers of somebody else's, or without some of ours."""
    if "catalog.sqlite3" not in members:
        return
    database = sqlite3.connect(":memory:")
    database.deserialize(members["catalog.sqlite3"])
    tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    table = draw(st.sampled_from([name for name in tables if not name.startswith("sqlite")]))
    statement = draw(
        st.sampled_from(
            [
                f'DROP TABLE "{table}"',
                f'DELETE FROM "{table}"',
                f'ALTER TABLE "{table}" ADD COLUMN evil TEXT',
                f'ALTER TABLE "{table}" RENAME TO evil',
                f'CREATE TRIGGER evil AFTER INSERT ON "{table}" BEGIN DELETE FROM documents; END',
                "PRAGMA user_version = 99",
                "UPDATE documents SET sha256 = '../../../../etc/passwd'",
                "UPDATE files SET sha256 = '../../../../etc/passwd'",
                "UPDATE documents SET chunks = -1",
            ]
        )
    )
    try:
        database.executescript("PRAGMA foreign_keys = OFF;" + statement)
    except sqlite3.Error:
        return
    members["catalog.sqlite3"] = database.serialize()
    database.close()


CHANGES = [mangle_json] * 4 + [forge_catalog] * 3 + [flip, rename, add, cut]


class Mutated(bytes):
    """An archive that is not shown byte by byte."""

    def __repr__(self):
        return f"<{len(self)} bytes>"


@st.composite
def mutations(draw, whole):
    """The bytes of an archive that was tampered with."""
    with zipfile.ZipFile(io.BytesIO(whole)) as opened:
        members = {name: opened.read(name) for name in opened.namelist()}
    for change in draw(st.lists(st.sampled_from(CHANGES), min_size=1, max_size=2)):
        change(draw, members)
    if draw(st.integers(0, 7)) and "manifest.json" in members:
        members["manifest.json"] = fitting(members)
    buffer = io.BytesIO()
    with zipfile.ZipFile(
        buffer, "w", draw(st.sampled_from([zipfile.ZIP_STORED] * 19 + [zipfile.ZIP_DEFLATED]))
    ) as written:
        for name, data in members.items():
            entry = zipfile.ZipInfo(name)
            entry.compress_type = written.compression
            if draw(st.integers(0, 19)) == 0:
                entry.external_attr = 0o120777 << 16  # a link
            written.writestr(entry, data)
        if members and draw(st.integers(0, 19)) == 0:
            with pytest.warns(UserWarning, match="Duplicate name"):
                written.writestr(draw(st.sampled_from(list(members))), b"twice")
        written.comment = b"0" * 64
    data = bytearray(buffer.getvalue())
    if draw(st.integers(0, 9)) == 0:  # what the zip says of its members: names, sizes, places
        start = data.rfind(b"PK\x01\x02")
        for place in draw(st.lists(st.integers(max(0, start - 400), len(data) - 65), min_size=1, max_size=3)):
            data[place] = draw(st.integers(0, 255))
    return Mutated(seal(bytes(data)))


def fitting(members):
    """A manifest that tells the truth of the members, where it can be read."""
    try:
        manifest = json.loads(members["manifest.json"])
        named = {name: data for name, data in members.items() if name != "manifest.json"}
        manifest["members"] = {n: {"size": len(d), "sha256": hashlib.sha256(d).hexdigest()} for n, d in named.items()}
        return json.dumps(manifest).encode()
    except (ValueError, TypeError, RecursionError):
        return members["manifest.json"]


@pytest.fixture(scope="module")
def made(tmp_path_factory, bag_of_words):
    """A storage folder, an export and a backup of it."""
    folder = tmp_path_factory.mktemp("made")
    build(folder, bag_of_words)
    with closing(Index(folder / "storage", Mute(bag_of_words))) as index:
        last(back_up(index, folder / "storage", folder / "all.backup"))
    return folder


def attacked(made, name, attack):
    """`attack` with archive after archive; how many were taken in, and why the others were refused."""
    whole = (made / name).read_bytes()
    outcomes = Counter()

    @hypothesis.seed(seed())
    @hypothesis.settings(
        max_examples=number_of_examples(60) // 2,
        deadline=MOST_SECONDS * 1000,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(mutations(whole))
    def play(data):
        (made / "attack").write_bytes(data)
        tracemalloc.start()
        try:
            attack(made / "attack")
            outcomes["taken in"] += 1
        except RagError as error:
            outcomes[str(error).partition("attack")[2]] += 1
        finally:
            memory = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert memory < MOST_MEMORY

    play()
    print(f"{name}, {outcomes.total()} of them:", *outcomes.most_common(), sep="\n")  # `pytest -s` shows it
    return outcomes


def outside(made):
    """All that is there beside the storage folders."""
    return {path for path in made.rglob("*") if made / "attack" != path and not path.is_relative_to(made / "storage")}


def test_an_import_takes_an_archive_in_whole_or_not_at_all(made, tmp_path, bag_of_words):
    numbers = itertools.count()

    def attack(path):
        with Archive(path) as archive:
            last(archive.verify())
            storage = tmp_path / str(next(numbers))
            with closing(Index(storage, Mute(bag_of_words))) as index:
                result = last(import_archive(index, archive, storage))
                assert result.added == archive.manifest.documents == len(index.catalog.documents())

    before, storage = outside(made), tree(made / "storage")
    outcomes = attacked(made, "backup.zip", attack)
    assert {"taken in"} < set(outcomes)
    assert (outside(made) | {made / "attack"}, tree(made / "storage")) == (before | {made / "attack"}, storage)


def test_a_restore_takes_a_backup_in_whole_or_not_at_all(made, bag_of_words):
    def attack(path):
        before = {name: data for name, data in tree(made / "storage").items() if name.name != "lock"}
        try:
            bring_back(path, made / "storage", overwrite=True)
        except RagError:
            assert {name: data for name, data in tree(made / "storage").items() if name.name != "lock"} == before
            raise
        with closing(Index(made / "storage", bag_of_words)) as index:
            assert index.catalog.documents() is not None

    before = outside(made)
    outcomes = attacked(made, "all.backup", attack)
    assert {"taken in"} < set(outcomes)
    assert outside(made) | {made / "attack"} == before | {made / "attack"}
