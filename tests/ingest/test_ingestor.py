"""What an ingest does and what it spares: nothing lost, nothing twice, and only what changed is embedded."""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ingest.ingestor import Ingestor
from rag.auth.principals import OF_THIS_MACHINE
from rag.errors import NotFound
from rag.index.index import Index
from rag.storage.connect import open_database
from rag.types.ingest import IngestOptions
from tests.ingest.loaders.documents import make_pdf
from tests.rag.index.test_index import assert_consistent, lexical, scope

pytestmark = pytest.mark.databases


class Counting:
    """An embedding model that notes what it is asked to embed."""

    def __init__(self, embedding) -> None:
        self._embedding = embedding
        self.embedded: list[str] = []

    def __getattr__(self, name):
        return getattr(self._embedding, name)

    def embed_passages(self, texts):
        self.embedded += texts
        return self._embedding.embed_passages(texts)


@pytest.fixture
def embedding(bag_of_words):
    return Counting(bag_of_words)


@pytest.fixture
def index(settings, embedding):
    with closing(Index(settings.storage.dir, embedding, open_database(settings.storage))) as index:
        yield index
        assert_consistent(index)


@pytest.fixture
def ingestor(settings, index):
    with Ingestor(settings, index) as ingestor:
        yield ingestor


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "documents"
    folder.mkdir()
    for name in ("apple", "banana", "cherry"):
        (folder / f"{name}.txt").write_text(paragraphs(name))
    return folder


def paragraphs(subject, count=20, changed=()):
    """A text of many chunks; paragraphs whose number is in `changed` differ."""
    words = " ".join(f"w{n}" for n in range(120))
    marks = {number: "new" if number in changed else "old" for number in range(count)}
    return "\n\n".join(f"The {subject} paragraph {number} is {mark}. {words}." for number, mark in marks.items())


def outcomes(ingestor, *paths, collection="default", **options):
    """File name → outcome."""
    progresses = ingestor.add_paths(list(paths), collection, IngestOptions(**options))
    return {Path(p.report.source).name: p.report.outcome for p in progresses if p.report}


def names(index, collection="default"):
    return {Path(document.source).name for document in index.catalog.documents(collection)}


# --------------------------------------------------------------------------------------------------- what is embedded


def test_a_second_run_embeds_nothing_and_opens_nothing(ingestor, folder, embedding):
    assert set(outcomes(ingestor, folder).values()) == {"added"}
    embedding.embedded.clear()
    os.chmod(folder / "apple.txt", 0)  # noqa: PTH101
    assert set(outcomes(ingestor, folder).values()) == {"unchanged"}
    assert embedding.embedded == []


def test_of_a_changed_file_only_the_changed_chunks_are_embedded(ingestor, index, folder, embedding):
    outcomes(ingestor, folder)
    before = len(embedding.embedded)
    embedding.embedded.clear()
    (folder / "apple.txt").write_text(paragraphs("apple", changed=(3, 12)))
    assert outcomes(ingestor, folder) == {"apple.txt": "updated", "banana.txt": "unchanged", "cherry.txt": "unchanged"}
    assert 1 <= len(embedding.embedded) <= 4 < before / 3
    assert all("is new" in text for text in embedding.embedded)
    (found,) = [document for document in index.catalog.documents() if "apple" in document.source]
    text = "".join(section.text for section in index.catalog.sections(found.id))
    assert text == paragraphs("apple", changed=(3, 12))


def test_equal_chunks_of_different_files_are_embedded_once_and_all_are_found(ingestor, index, tmp_path, embedding):
    for number in range(5):
        page = tmp_path / f"{number}" / "terms.txt"
        page.parent.mkdir()
        page.write_text(f"The general terms apply to all.\n{' ' * number}")  # not the same bytes
    outcomes(ingestor, tmp_path)
    assert len(embedding.embedded) == 1
    found = index.search_dense("general terms", scope(index), 10)
    assert {chunk_id for chunk_id, _ in found} == {f"{d.id}:1:0" for d in index.catalog.documents()}
    first = index.catalog.documents()[0]
    ingestor.delete(first.id)
    assert len(index.search_dense("general terms", scope(index), 10)) == 4


def test_a_renamed_file_is_the_same_document_and_embeds_nothing(ingestor, index, folder, embedding):
    outcomes(ingestor, folder)
    before = {Path(d.source).name: d for d in index.catalog.documents()}
    embedding.embedded.clear()
    (folder / "apple.txt").rename(folder / "pear.txt")
    assert outcomes(ingestor, folder, prune=True)["pear.txt"] == "renamed"
    assert embedding.embedded == []
    after = {Path(d.source).name: d for d in index.catalog.documents()}
    assert after.keys() == {"pear.txt", "banana.txt", "cherry.txt"}
    assert (after["pear.txt"].id, after["pear.txt"].title) == (before["apple.txt"].id, "pear")
    assert lexical(index, "pear", scope(index)), "the new name is found"
    assert outcomes(ingestor, folder)["pear.txt"] == "unchanged"


def test_a_copied_file_is_a_document_of_its_own_and_embeds_nothing(ingestor, index, folder, embedding):
    outcomes(ingestor, folder)
    embedding.embedded.clear()
    shutil.copy(folder / "apple.txt", folder / "copy.txt")
    assert outcomes(ingestor, folder)["copy.txt"] == "added"
    assert outcomes(ingestor, folder / "apple.txt", collection="other") == {"apple.txt": "added"}
    assert embedding.embedded == []
    assert names(index) == {"apple.txt", "banana.txt", "cherry.txt", "copy.txt"}
    assert len({document.id for document in index.catalog.documents()}) == 5
    (folder / "apple.txt").unlink()
    assert outcomes(ingestor, folder, prune=True)["apple.txt"] == "removed"
    assert lexical(index, "apple", scope(index)), "the copy keeps its text"


def test_two_new_files_with_the_bytes_of_one_that_is_gone(ingestor, index, folder, embedding):
    outcomes(ingestor, folder)
    embedding.embedded.clear()
    shutil.copy(folder / "apple.txt", folder / "a2.txt")
    (folder / "apple.txt").rename(folder / "a1.txt")
    found = outcomes(ingestor, folder, prune=True)
    assert (found["a1.txt"], found["a2.txt"]) == ("renamed", "added")
    assert embedding.embedded == []
    assert names(index) == {"a1.txt", "a2.txt", "banana.txt", "cherry.txt"}


def test_the_same_bytes_under_another_suffix_are_read_by_the_other_loader(ingestor, index, tmp_path):
    (tmp_path / "a.txt").write_text("# Title\n\nThe text.")
    (tmp_path / "a.md").write_text("# Title\n\nThe text.")
    outcomes(ingestor, tmp_path)
    for document in index.catalog.documents():
        headings = {section.heading for section in index.catalog.sections(document.id) if section.text.strip()}
        assert ("Title" in headings) == document.source.endswith(".md")


# ------------------------------------------------------------------------------------------------------------- options


def test_prune_removes_what_is_gone_from_the_given_folder_and_nothing_else(ingestor, index, folder, tmp_path):
    elsewhere, sibling = tmp_path / "elsewhere", tmp_path / "documents too"
    for other in (elsewhere, sibling):
        other.mkdir()
        (other / f"{other.name}.txt").write_text(f"This lies in {other.name}.")
    upload = tmp_path / "upload.txt"
    upload.write_text("An uploaded text.")
    outcomes(ingestor, folder, elsewhere, sibling)
    outcomes(ingestor, folder, collection="other")
    assert ingestor.wait(ingestor.submit(upload, "upload.txt", "default", OF_THIS_MACHINE).id, 30).state == "done"
    shutil.rmtree(elsewhere)
    shutil.rmtree(sibling)
    (folder / "apple.txt").unlink()
    assert outcomes(ingestor, folder)["banana.txt"] == "unchanged"
    assert "apple.txt" in names(index), "without --prune nothing goes"
    assert outcomes(ingestor, folder, prune=True)["apple.txt"] == "removed"
    assert names(index) == {"banana.txt", "cherry.txt", "elsewhere.txt", "documents too.txt", "upload.txt"}
    assert "apple.txt" in names(index, "other")
    with pytest.raises(NotFound):
        outcomes(ingestor, elsewhere, prune=True)  # an unmounted disk is not an empty one
    assert "elsewhere.txt" in names(index)


def test_a_failure_is_remembered_until_asked_to_try_again(ingestor, index, tmp_path, settings):
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.7 and then nonsense")
    assert outcomes(ingestor, broken) == {"broken.pdf": "failed"}
    (document,) = index.catalog.documents()
    assert outcomes(ingestor, broken) == {"broken.pdf": "failed"}
    assert index.catalog.documents() == [document], "not read again: its time is that of the first try"
    mended = make_pdf(tmp_path / "mended.pdf", [["It can be read now."]]).read_bytes()
    broken.write_bytes(mended)
    assert outcomes(ingestor, broken) == {"broken.pdf": "added"}
    changed = replace(index.catalog.document(document.id), status="failed", version=1)
    index.catalog.put_record(replace(changed, fingerprint=_failure_fingerprint(settings, index)))
    assert outcomes(ingestor, broken) == {"broken.pdf": "failed"}
    assert outcomes(ingestor, broken, retry_failed=True) == {"broken.pdf": "updated"}


def _failure_fingerprint(settings, index):
    from ingest.change_detection import Fingerprints

    return Fingerprints.of(settings.ingest, index.embedding).failed


def test_a_dry_run_says_what_a_run_does_and_changes_nothing(ingestor, index, folder):
    outcomes(ingestor, folder)
    (folder / "apple.txt").write_text("Now something else.")
    (folder / "banana.txt").rename(folder / "plum.txt")
    (folder / "cherry.txt").unlink()
    (folder / "new.txt").write_text("A new file.")
    before = index.catalog.revision, index.catalog.documents()
    foreseen = outcomes(ingestor, folder, prune=True, dry_run=True)
    assert (index.catalog.revision, index.catalog.documents()) == before
    foreseen.pop("banana.txt", None)  # the run renames it; before that it is gone
    assert foreseen == {"apple.txt": "updated", "plum.txt": "renamed", "new.txt": "added", "cherry.txt": "removed"}
    assert outcomes(ingestor, folder, prune=True) == foreseen


# ------------------------------------------------------------------------------------------------------------- removal


def test_a_removed_document_leaves_no_trace_on_the_disk(ingestor, index, settings, tmp_path):
    secret = "Zyzzogeton7391"
    upload = tmp_path / "secret.txt"
    upload.write_text(paragraphs(secret, count=200))
    (tmp_path / "other.txt").write_text("Something else.")
    outcomes(ingestor, tmp_path / "other.txt")
    job = ingestor.wait(ingestor.submit(upload, "secret.txt", "default", OF_THIS_MACHINE).id, 60)
    assert holders(settings.storage.dir, secret)
    freed = ingestor.delete(job.report.document_id).freed
    assert freed > upload.stat().st_size
    assert lexical(index, secret, scope(index)) == []
    assert set(index.term_weights(secret).values()) == set(index.term_weights("Neverseen5555").values())
    assert holders(settings.storage.dir, secret) == []


def test_a_document_that_came_with_others_leaves_no_trace_either(ingestor, index, settings, folder):
    (folder / "secret.txt").write_text("Zyzzogeton7391 is the word.")
    outcomes(ingestor, folder)
    (folder / "secret.txt").unlink()
    assert outcomes(ingestor, folder, prune=True)["secret.txt"] == "removed"
    assert set(index.term_weights("Zyzzogeton7391").values()) == set(index.term_weights("Neverseen5555").values())
    assert holders(settings.storage.dir, "Zyzzogeton7391") == []


def holders(storage, secret):
    """The files below that hold the word, in any case and in the usual encodings."""
    wanted = [secret.lower().encode(code) for code in ("utf-8", "utf-16-le")]
    files = [path for path in storage.rglob("*") if path.is_file()]
    return [path for path in files if any(word in path.read_bytes().lower() for word in wanted)]


def test_a_storage_folder_of_ours_is_no_document(ingestor, index, tmp_path, settings):
    (tmp_path / "a.txt").write_text("A document beside the storage folder.")
    assert settings.storage.dir.parent == tmp_path
    assert outcomes(ingestor, tmp_path) == {"a.txt": "added"}


def test_uploads_survive_another_name_of_the_storage_folder(settings, bag_of_words, tmp_path):
    upload = tmp_path / "upload.txt"
    upload.write_text("An uploaded text.")
    with (
        closing(Index(settings.storage.dir, bag_of_words, open_database(settings.storage))) as index,
        Ingestor(settings, index) as ingestor,
    ):
        ingestor.wait(ingestor.submit(upload, "upload.txt", "default", OF_THIS_MACHINE).id, 30)
    moved = tmp_path / "moved"
    settings.storage.dir.rename(moved)
    settings = settings.model_copy(update={"storage": settings.storage.model_copy(update={"dir": moved})})
    with (
        closing(Index(moved, bag_of_words, open_database(settings.storage))) as index,
        Ingestor(settings, index) as ingestor,
    ):
        (document,) = index.catalog.documents()
        assert document.content.read_text() == "An uploaded text."
        again = ingestor.wait(ingestor.submit(upload, "upload.txt", "default", OF_THIS_MACHINE).id, 30)
        assert again.report.outcome == "unchanged"


def test_an_empty_folder_may_be_a_disk_that_is_not_mounted(ingestor, index, folder):
    outcomes(ingestor, folder)
    for file in folder.iterdir():
        file.unlink()
    assert outcomes(ingestor, folder, prune=True) == {}
    assert len(names(index)) == 3


def test_a_title_of_its_own_outlives_a_new_name(ingestor, index, tmp_path):
    (tmp_path / "a.html").write_text("<title>Annual data of Alabama</title><p>All is well.</p>")
    outcomes(ingestor, tmp_path / "a.html")
    (tmp_path / "a.html").rename(tmp_path / "final.html")
    assert outcomes(ingestor, tmp_path / "final.html") == {"final.html": "renamed"}
    (document,) = index.catalog.documents()
    assert document.title == "Annual data of Alabama"


def test_a_collection_is_meant_by_its_id_too(ingestor, index, folder):
    outcomes(ingestor, folder)
    collection = index.catalog.collection()
    assert set(outcomes(ingestor, folder, collection=collection.id).values()) == {"unchanged"}
    assert index.catalog.collections() == [collection]


def test_a_dry_run_into_a_collection_to_come_makes_none(ingestor, index, folder):
    assert set(outcomes(ingestor, folder, collection="coming", dry_run=True, prune=True).values()) == {"added"}
    assert [collection.name for collection in index.catalog.collections()] == ["default"]


def test_what_a_run_has_stored_is_free_for_another_while_it_goes_on(ingestor, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(140):  # more than are stored together
        (folder / f"{number:03}.txt").write_text(f"The text number {number}.")
    going_on = ingestor.add_paths([folder])
    while (progress := next(going_on)).files_done < 64:
        pass
    assert progress.report.outcome == "added"
    next(going_on)
    assert outcomes(ingestor, folder / "000.txt") == {"000.txt": "unchanged"}
    assert outcomes(ingestor, folder / "100.txt") == {"100.txt": "failed"}
    assert {progress.report.outcome for progress in going_on if progress.report} == {"added"}
