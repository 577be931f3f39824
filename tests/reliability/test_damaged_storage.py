"""Every kind of file of a storage folder × every kind of damage: `rag doctor --deep` tells it, `rag repair` makes again
what can be derived, and a search then finds what it found before."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys

import pytest

from tests.commands import Commands
from tests.reliability.corpus import write_corpus

CHROMA = ("data_level0.bin", "header.bin", "index_metadata.pickle", "length.bin", "link_lists.bin", "chroma.sqlite3")
TANTIVY = (".fast", ".fieldnorm", ".idx", ".pos", ".store", ".term", "meta.json", ".managed.json")
SUBJECTS = {
    **dict.fromkeys((*CHROMA, "copy.sqlite3"), "Vectors"),
    **dict.fromkeys(TANTIVY, "Words"),
    "upload": "Uploads",
    "catalog.sqlite3": "Storage",
}
_CHANGED_BYTES = 64


def flip(path):
    """Some bytes, spread over the file, become others."""
    content = bytearray(path.read_bytes())
    for place in random.Random(1).sample(range(len(content)), min(_CHANGED_BYTES, len(content))):
        content[place] ^= 0xFF
    path.write_bytes(content)


def cut(path):
    """The second half of the file is lost."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zero(path):
    """All bytes become zeros."""
    path.write_bytes(bytes(path.stat().st_size))


def delete(path):
    """The file is lost."""
    path.unlink()


DAMAGES = {"flipped": flip, "cut": cut, "zeroed": zero, "deleted": delete}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, bag_of_words):
    """A storage folder, and what is found in it."""
    storage = tmp_path_factory.mktemp("corpus") / "storage"
    write_corpus(storage, bag_of_words)
    return storage, look(storage)[0]


@pytest.fixture
def commands(tmp_path, corpus):
    """The commands over a copy of the storage folder."""
    commands = Commands(tmp_path)
    shutil.copytree(corpus[0], commands.storage)
    commands.storage.chmod(0o700)
    return commands


def look(storage):
    """What a process of its own finds in the storage folder, and what it says."""
    command = [sys.executable, "-m", "tests.reliability.look", str(storage)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout), ran.stderr


def run(commands, *arguments):
    """`rag` in a process of its own, which damage may kill: its exit code and what it says."""
    process = commands.start("rag", *arguments)
    output, errors = process.communicate(timeout=200)
    return process.returncode, output + errors


def first(storage, kind):
    """The first file of that kind."""

    def kind_of(path):
        if path.parent.parent.name == "files":
            return "upload"
        return path.suffix if path.suffix in TANTIVY else path.name

    return next(path for path in sorted(storage.rglob("*")) if path.is_file() and kind_of(path) == kind)


def assert_told(commands, kind):
    code, told = run(commands, "doctor", "--deep")
    assert (code, f"problem  {SUBJECTS[kind]}" in told) == (1, True), told


def assert_made_again(commands, found):
    """`rag repair` makes the index again, from the catalog and the vectors that are kept; nothing is embedded."""
    code, told = run(commands, "repair")
    assert (code, "damaged" in told) == (0, True), told
    after, told = look(commands.storage)
    assert after == found
    assert after["embedded"] == 0
    assert "damaged" not in told
    assert list(commands.storage.glob("*.damaged-*")) == []


@pytest.mark.parametrize(("kind", "damage"), [("link_lists.bin", "cut"), (".term", "zeroed")])
def test_what_is_damaged_is_told_and_made_again(commands, corpus, kind, damage):
    DAMAGES[damage](first(commands.storage, kind))
    assert_told(commands, kind)
    assert_made_again(commands, corpus[1])


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in SUBJECTS if kind not in ("upload", "catalog.sqlite3")])
@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damage_is_told_and_made_again(commands, corpus, kind, damage):
    test_what_is_damaged_is_told_and_made_again(commands, corpus, kind, damage)


@pytest.mark.slow
@pytest.mark.parametrize("kind", CHROMA)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_start_makes_again_what_died_while_it_was_written(commands, corpus, kind, damage):
    """Then the note says nothing, and Chroma is asked in a process of its own, which may crash or hang."""
    (commands.storage / "vectors" / "being-written").touch()
    DAMAGES[damage](first(commands.storage, kind))
    after, told = look(commands.storage)
    assert after == corpus[1]
    harmless = (kind, damage) == ("header.bin", "cut")  # what is cut off, nobody reads
    assert ("are damaged" in told) is (not harmless and (kind, damage) != ("chroma.sqlite3", "deleted"))


@pytest.mark.slow
def test_what_died_while_it_was_written_and_is_sound_stays(commands, corpus):
    (commands.storage / "vectors" / "being-written").touch()
    folders = {path.name for path in (commands.storage / "vectors").iterdir() if path.is_dir()}
    assert look(commands.storage) == (corpus[1], "")
    assert {path.name for path in (commands.storage / "vectors").iterdir() if path.is_dir()} == folders
    assert run(commands, "doctor")[0] == 0


@pytest.mark.slow
def test_vectors_of_a_version_without_copy_and_note_are_taken_over(commands, corpus):
    for name in ("copy.sqlite3", "note.json"):
        (commands.storage / "vectors" / name).unlink()
    assert look(commands.storage) == (corpus[1], "")
    zero(first(commands.storage, "data_level0.bin"))
    assert_made_again(commands, corpus[1])


@pytest.mark.parametrize("damage", ["cut", *(pytest.param(d, marks=pytest.mark.slow) for d in ("flipped", "zeroed"))])
def test_a_damaged_catalog_is_refused_and_left_as_it_is(commands, damage):
    """It cannot be derived from anything."""
    path = commands.storage / "catalog.sqlite3"
    DAMAGES[damage](path)
    content = path.read_bytes()
    assert_told(commands, "catalog.sqlite3")
    for words in (("repair",), ("search", "pumps")):
        code, told = run(commands, *words)
        assert (code, "rag restore" in told) == (2, True), told
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "damage", ["flipped", *(pytest.param(d, marks=pytest.mark.slow) for d in ("cut", "zeroed", "deleted"))]
)
def test_a_damaged_upload_is_told(commands, damage):
    DAMAGES[damage](first(commands.storage, "upload"))
    assert_told(commands, "upload")
