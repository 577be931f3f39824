"""The table of loaders: the name chooses, errors are told in one line, and importing it is cheap."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ingest.loaders import LOADERS, Limits, Section, load_document, printable
from ingest.loaders.ocr import IMAGE_SUFFIXES
from rag.errors import EmptyDocument, UnreadableDocument, UnsupportedFileType
from tests.ingest.loaders.documents import load, texts


def test_the_suffix_of_the_name_chooses_not_that_of_the_path(tmp_path):
    (tmp_path / "upload-1").write_text("# Kiln\n")

    assert load(tmp_path / "upload-1", "Manual.MD").title == "Kiln"


def test_unknown_suffixes_are_named_and_the_known_ones_listed(tmp_path):
    (tmp_path / "a.xyz").write_text("text")

    with pytest.raises(UnsupportedFileType, match=r"\.xyz") as caught:
        load(tmp_path / "a.xyz")
    assert "PDF, Word" in caught.value.hint
    assert len(caught.value.hint) < 250
    assert caught.value.source == "a.xyz"
    with pytest.raises(UnsupportedFileType, match="without a suffix"):
        load(tmp_path / "a.xyz", "shoppinglist")
    assert texts(load(tmp_path / "a.xyz", "README")) == ["text"]
    with pytest.raises(UnsupportedFileType) as caught:
        load(tmp_path / "a.xyz", "old.DOC")
    assert "save it as .docx" in caught.value.hint


@pytest.mark.parametrize("suffix", sorted(LOADERS))
def test_every_format_says_that_an_empty_file_is_empty(tmp_path, suffix):
    path = tmp_path / f"empty{suffix}"
    path.touch()

    with pytest.raises(EmptyDocument, match="0 bytes"):
        load(path)


ZIPPED = {".docx", ".docm", ".dotx", ".dotm", ".pptx", ".pptm", ".ppsx", ".ppsm", ".potx", ".potm", ".odt", ".odp"}
BINARY = {".pdf", ".epub", ".rtf", *ZIPPED, *IMAGE_SUFFIXES}


@pytest.mark.parametrize("suffix", sorted(set(LOADERS) - BINARY))
def test_blank_files_hold_no_text(tmp_path, suffix):
    path = tmp_path / f"blank{suffix}"
    path.write_text(" \n\n \n")

    with pytest.raises(EmptyDocument, match="holds no text"):
        load(path)


def test_missing_files_folders_and_large_files(tmp_path):
    with pytest.raises(UnreadableDocument):
        load(tmp_path / "gone.txt")
    with pytest.raises(UnreadableDocument, match="is not a file"):
        load(tmp_path, "folder.txt")
    (tmp_path / "big.txt").write_text("x" * (1 << 20) + "y")
    with pytest.raises(UnreadableDocument, match="larger than 1 MB"):
        load(tmp_path / "big.txt", limits=Limits(max_file_mb=1))
    with pytest.raises(UnreadableDocument, match="more than 1 MB of text"):
        load(tmp_path / "big.txt", limits=Limits(max_text_mb=1))


@pytest.mark.parametrize(
    "name", ["kiln 🔥.txt", "two\nlines.txt", "latin-\udce9.txt", " spaces .txt", "\x1b[31mred.txt"]
)
def test_odd_names_are_read_and_printed_on_one_line(tmp_path, name):
    (tmp_path / name).write_text("text")
    (tmp_path / f"{name}.zip").write_text("text")

    assert texts(load(tmp_path / name)) == ["text"]
    assert load(tmp_path / name).title.encode()
    with pytest.raises(UnsupportedFileType) as caught:
        load(tmp_path / f"{name}.zip")
    assert caught.value.message.isprintable()


def test_printable_keeps_what_can_be_printed():
    assert printable("Größe 🔥 ‍.txt") == "Größe 🔥 ‍.txt"
    assert printable("a\nb\udcffc\x1b") == "a\\nb\\xffc\\x1b"


def test_importing_the_loaders_imports_no_parser():
    heavy = "llama_index", "pypdfium2", "pypdf", "docx", "bs4", "lxml", "markdown_it", "charset_normalizer"
    code = f"import sys, ingest.discovery, ingest.sandbox; print([name for name in {heavy} if name in sys.modules])"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_load_document_is_the_public_name(tmp_path):
    (tmp_path / "a.txt").write_text("text")

    document = load_document(tmp_path / "a.txt", "a.txt", Limits())

    assert document.sections == [Section("text")]
