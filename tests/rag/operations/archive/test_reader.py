"""Archives that are damaged, cut off or forged are refused as a whole, with our own error and nothing else."""

from __future__ import annotations

import hashlib
import io
import json
import random
import zipfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from rag.errors import UnreadableArchive
from rag.index.index import Index
from rag.operations.archive.format import SEAL_LENGTH
from rag.operations.archive.reader import Archive
from tests.rag.operations.archive.archives import build, last, take_in


@pytest.fixture(scope="module")
def built(tmp_path_factory, bag_of_words):
    """An archive that no test changes."""
    folder = tmp_path_factory.mktemp("built")
    build(folder, bag_of_words)
    return folder / "backup.zip"


def refused(path, words=""):
    with Archive(path) as archive, pytest.raises(UnreadableArchive) as raised:
        last(archive.verify())
    assert words in raised.value.message, raised.value.message
    assert raised.value.hint
    return raised.value.message


def test_a_flipped_bit_anywhere_is_noticed(tmp_path, built):
    whole = built.read_bytes()
    chance = random.Random(7)
    places = {0, 1, len(whole) - 1, len(whole) - SEAL_LENGTH, len(whole) - SEAL_LENGTH - 1}
    damaged = tmp_path / "damaged.zip"
    for place in places | {chance.randrange(len(whole)) for _ in range(300)}:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << chance.randrange(8)
        damaged.write_bytes(flipped)
        refused(damaged)


def test_an_archive_that_ends_too_early_or_too_late_is_refused(tmp_path, built):
    whole = built.read_bytes()
    chance = random.Random(7)
    damaged = tmp_path / "damaged.zip"
    for length in [0, 1, 63, 64, 65, len(whole) - 1, *(chance.randrange(len(whole)) for _ in range(100))]:
        damaged.write_bytes(whole[:length])
        refused(damaged)
    for extra in (b"\0", b"x" * SEAL_LENGTH, whole):
        damaged.write_bytes(whole + extra)
        refused(damaged)
    refused_not_there = tmp_path / "nothing.zip"
    with pytest.raises(UnreadableArchive):
        Archive(refused_not_there)
    with pytest.raises(UnreadableArchive):
        Archive(tmp_path)
    damaged.write_bytes(b"%PDF-1.7 not at all")
    assert "no archive" in refused(damaged)


def seal(data):
    body = data[:-SEAL_LENGTH]
    return body + hashlib.sha256(body).hexdigest().encode()


def test_a_flipped_bit_under_a_seal_that_fits_does_no_harm(tmp_path, built, bag_of_words):
    """Made with intent, so to speak: the checks below the seal hold, too, and nothing but our error comes out."""
    whole = built.read_bytes()
    chance = random.Random(11)
    forged = tmp_path / "forged.zip"
    refusals = 0
    for _ in range(400):
        flipped = bytearray(whole)
        flipped[chance.randrange(len(whole) - SEAL_LENGTH)] ^= 1 << chance.randrange(8)
        forged.write_bytes(seal(bytes(flipped)))
        with Archive(forged) as opened:
            try:
                last(opened.verify())
            except UnreadableArchive:
                refusals += 1
    assert refusals > 300


def forge(archive, target, change, compression=zipfile.ZIP_STORED, keep_hashes=False):
    """The archive with `change` done to its members (name → bytes), manifest and seal made to fit."""
    with zipfile.ZipFile(archive) as opened:
        members = {name: opened.read(name) for name in opened.namelist()}
    manifest = json.loads(members.pop("manifest.json"))
    change(members, manifest)
    if not keep_hashes:
        manifest["members"] = {
            name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in members.items()
        }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as written:
        for name, data in {**members, "manifest.json": json.dumps(manifest).encode()}.items():
            written.writestr(name, data)
        written.comment = b"0" * SEAL_LENGTH
    target.write_bytes(seal(buffer.getvalue()))
    return target


LINES, ROWS = "collections/1/documents.jsonl", "collections/1/vectors.npy"


def of_a_document(change):
    def forged(members, manifest):
        documents = [json.loads(line) for line in members[LINES].splitlines()]
        change(next(document for document in documents if document["document"]["id"] == "doc_apple"))
        members[LINES] = b"".join(json.dumps(document).encode() + b"\n" for document in documents)

    return forged


def with_rows(change):
    def forged(members, manifest):
        rows = np.frombuffer(members[ROWS][128:], dtype="<f4").copy()
        change(rows)
        members[ROWS] = members[ROWS][:128] + rows.tobytes()

    return forged


def renamed(line, document_id):
    line["document"]["id"] = document_id
    for chunk in line["chunks"]:
        chunk.update(id=chunk["id"].replace("doc_apple", document_id), document_id=document_id)


def with_one_document(members, manifest):
    """A dimension of -1 would mean as many numbers as there are."""
    manifest["collections"] = [{**manifest["collections"][2], "vectors": 1, "chunks": 1}]
    [line] = [json.loads(line) for line in members["collections/3/documents.jsonl"].splitlines()]
    line["document"]["chunks"] = 1
    for name in ("chunks", "vector_ids"):
        del line[name][1:]
    header = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little")
    header += b"{'descr': '<f4', 'fortran_order': False, 'shape': (1, -1), }".ljust(117) + b"\n"
    rows = members["collections/3/vectors.npy"][128 : 128 + 2048]
    for name in [name for name in members if name.startswith("collections/")]:
        del members[name]
    members[LINES], members[ROWS] = json.dumps(line).encode() + b"\n", header + rows
    manifest["embedding"]["dimension"] = -1


FORGERIES = {
    "newer": lambda members, manifest: manifest.update(version=3),
    "older": lambda members, manifest: manifest.update(version=1),
    "no version": lambda members, manifest: manifest.update(version="2"),
    "another program's": lambda members, manifest: manifest.update(format="zip"),
    "no embedding": lambda members, manifest: manifest.pop("embedding"),
    "other dimension": lambda members, manifest: manifest["embedding"].update(dimension=256),
    "no dimension": lambda members, manifest: manifest["embedding"].update(dimension=0),
    "negative dimension": with_one_document,
    "huge dimension": lambda members, manifest: manifest["embedding"].update(dimension=10**30),
    "path upwards": lambda members, manifest: members.update({"../../evil": b"x"}),
    "path upwards in files": lambda members, manifest: members.update({"files/../../evil": b"x"}),
    "absolute path": lambda members, manifest: members.update({"/tmp/evil": b"x"}),
    "folder upwards": lambda members, manifest: members.update({"collections/../1/vectors.npy": members.pop(ROWS)}),
    "folder without collection": lambda members, manifest: members.update({"collections/9/documents.jsonl": b""}),
    "no collection": lambda members, manifest: manifest.update(collections=[]),
    "collection twice": lambda members, manifest: manifest["collections"][1].update(name="default"),
    "nameless collection": lambda members, manifest: manifest["collections"][0].update(name=""),
    "file under another hash": lambda members, manifest: members.update({"files/" + "0" * 64: b"x"}),
    "a file less": lambda members, manifest: manifest.update(files=0),
    "a member less": lambda members, manifest: members.pop(ROWS),
    "a document less": lambda members, manifest: members.update({LINES: members[LINES].split(b"\n", 1)[1]}),
    "a document twice": lambda members, manifest: members.update({LINES: members[LINES] * 2}),
    "no lines": lambda members, manifest: members.update({LINES: b"\n\n"}),
    "deep lines": lambda members, manifest: members.update({LINES: b"[" * 100_000}),
    "a vector less": lambda members, manifest: members.update({ROWS: members[ROWS][:-2048]}),
    "a vector more": lambda members, manifest: members.update({ROWS: members[ROWS] + members[ROWS][-2048:]}),
    "pickled vectors": lambda members, manifest: members.update({ROWS: members[ROWS].replace(b"<f4", b"|O ")}),
    "not a number": with_rows(lambda rows: rows.__setitem__(5, np.nan)),
    "infinite": with_rows(lambda rows: rows.__setitem__(5, np.inf)),
    "zero": with_rows(lambda rows: rows.__setitem__(slice(512), 0)),
    "too long": with_rows(lambda rows: rows.__imul__(2)),
    "other words": of_a_document(lambda line: line["chunks"][0].update(text="never said")),
    "chunk beyond": of_a_document(lambda line: line["chunks"][0].update(start=-3)),
    "chunk of another document": of_a_document(lambda line: line["chunks"][0].update(document_id="doc_gone")),
    "chunk with another's id": of_a_document(lambda line: line["chunks"][0].update(id="doc_gone:1:0")),
    "chunk out of order": of_a_document(lambda line: line["chunks"][0].update(number=1)),
    "chunk too many": of_a_document(lambda line: line["document"].update(chunks=2)),
    "vector id too many": of_a_document(lambda line: line["vector_ids"].append(line["vector_ids"][0])),
    "no vector id": of_a_document(lambda line: line["vector_ids"].__setitem__(0, "doc_a:1:0")),
    "id with colons": of_a_document(lambda line: renamed(line, "doc:1:2")),
    "hash upwards": of_a_document(lambda line: line["document"].update(sha256="../" * 21 + "x")),
    "huge number": of_a_document(lambda line: line["document"].update(size=2**63)),
    "huge page": of_a_document(lambda line: line["sections"][1].update(page_index=2**70)),
    "unknown status": of_a_document(lambda line: line["document"].update(status="fine")),
    "number as text": of_a_document(lambda line: line["document"].update(size="12")),
    "unread with text": of_a_document(lambda line: line["document"].update(version=0)),
    "lone surrogate": of_a_document(lambda line: line["document"].update(title="\ud800")),
    "source twice": of_a_document(lambda line: line["document"].update(source="/documents/doc_gone.txt")),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_archive_is_refused(tmp_path, built, name):
    refused(forge(built, tmp_path / "forged.zip", FORGERIES[name]))


def test_the_forger_of_the_tests_can_make_a_good_archive(tmp_path, built, bag_of_words):
    forge(built, tmp_path / "good.zip", lambda members, manifest: None)
    assert take_in(tmp_path / "good.zip", tmp_path / "new", bag_of_words).added == 6


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path, built):
    def inflate(members, manifest):
        members["files/" + "0" * 64] = bytes(50_000_000)

    bomb = forge(built, tmp_path / "bomb.zip", inflate, zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 1_000_000
    assert "stored as they are" in refused(bomb)


def test_members_may_not_lie_inside_each_other(tmp_path, built):
    """Else a small archive could hold very much, uncompressed as it is."""
    inner = bytes(50_000)
    name = f"files/{hashlib.sha256(inner).hexdigest()}"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as nested:
        nested.writestr(name, inner)
        entry = nested.infolist()[0]
    outer = buffer.getvalue()[: len(inner) + 30 + len(name)]  # a local header and what follows it

    def change(members, manifest):
        members[f"files/{hashlib.sha256(outer).hexdigest()}"] = outer
        manifest["files"] += 2

    forged = forge(built, tmp_path / "forged.zip", change)
    with zipfile.ZipFile(forged) as opened:
        members = {info.filename: opened.read(info) for info in opened.infolist()}
    manifest = json.loads(members.pop("manifest.json"))
    manifest["members"][name] = {"size": len(inner), "sha256": name.removeprefix("files/")}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as written:
        for member, data in {**members, "manifest.json": json.dumps(manifest).encode()}.items():
            written.writestr(member, data)
        entry.header_offset = buffer.getvalue().index(outer)
        written.filelist.append(entry)
        written.comment = b"0" * SEAL_LENGTH
    forged.write_bytes(seal(buffer.getvalue()))
    with zipfile.ZipFile(forged) as opened:
        assert opened.read(name) == inner
    assert "stored as they are" in refused(forged)


def test_contents_are_held_against_the_manifest(tmp_path, built):
    def change(members, manifest):
        name = next(name for name in members if name.startswith("files/"))
        members[name] = b"X" + members[name][1:]

    refused(forge(built, tmp_path / "forged.zip", change, keep_hashes=True), "not what the manifest says")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("newer", "Update Footnote: it was written by version"),
        ("older", "with the Footnote that wrote it"),
    ],
)
def test_another_form_is_named_and_what_to_do(tmp_path, built, name, hint):
    forged = forge(built, tmp_path / "forged.zip", FORGERIES[name])
    assert "reads a footnote-archive of form 2" in refused(forged)
    with Archive(forged) as archive, pytest.raises(UnreadableArchive) as raised:
        last(archive.verify())
    assert hint in raised.value.hint


def test_the_archive_with_one_document_is_good_but_for_its_dimension(tmp_path, built, bag_of_words):
    def change(members, manifest):
        with_one_document(members, manifest)
        manifest["embedding"]["dimension"] = 512
        members[ROWS] = members[ROWS][:128].replace(b"(1, -1), } ", b"(1, 512), }") + members[ROWS][128:]

    assert take_in(forge(built, tmp_path / "good.zip", change), tmp_path / "new", bag_of_words).added == 1


def test_the_form_changes_with_its_version_alone(built):
    """What is in a line comes from the types of the program: whoever changes those changes the form."""
    with zipfile.ZipFile(built) as opened:
        line = json.loads(opened.read(LINES).splitlines()[-1])
        manifest = json.loads(opened.read("manifest.json"))
    assert manifest["version"] == 2
    assert set(line) == {"document", "sections", "chunks", "vector_ids"}
    assert " ".join(line["document"]) == (
        "id collection owner_id file_id source title content media_type sha256 size modified_ns fingerprint version "
        "status pages chunks error hint created_at updated_at attributes chunking"
    )
    assert (line["document"]["owner_id"], line["document"]["content"]) == ("prn_local", ".")
    assert " ".join(line["sections"][0]) == "text page_index page_label heading record_id"
    assert " ".join(line["chunks"][0]) == (
        "id document_id number page_index page_label heading record_id start end text"
    )


def test_owner_and_places_that_an_archive_names_are_not_believed(tmp_path, built, bag_of_words):
    def change(line):
        line["document"].update(owner_id="prn_somebody", file_id="file_x", content="/etc/passwd", collection="secrets")

    forged = forge(built, tmp_path / "forged.zip", of_a_document(change))
    take_in(forged, tmp_path / "new", bag_of_words)
    with closing(Index(tmp_path / "new", bag_of_words)) as index:
        document = index.catalog.document("doc_apple")
    assert (document.owner_id, document.collection) == ("prn_local", "default")
    assert document.content != Path("/etc/passwd")
    assert document.file_id != "file_x"
