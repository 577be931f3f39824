"""Text recognition: scanned pages and images, and what is said about them."""

from __future__ import annotations

import difflib
import os
import subprocess
import sys

import pypdfium2
import pytest
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from ingest.loaders import LOADERS, Limits, ocr
from ingest.loaders.base import page_numbers
from ingest.sandbox import Sandbox
from ingest.splitting import ChunkLimit
from rag.errors import EmptyDocument, UnsupportedFileType
from rag.settings import IngestSettings
from rag.text.tokenizers import WORDS
from tests.ingest.loaders.documents import load, make_pdf, texts

LINES = [
    "Let the kiln cool below 60 degrees before you open the door.",
    "The lining holds 149.00 kg of fired clay, no more.",
    "Order shelf number EM-140 from the price list.",
]

needs_extra = pytest.mark.skipif(not ocr.is_installed(), reason="needs the extra: make setup EXTRAS=ocr")
without_extra = pytest.mark.skipif(ocr.is_installed(), reason="is about installations without the extra")


def picture(path, lines, quarters=0):
    """An image of a page with these lines, turned by quarters."""
    make_pdf(path / "picture.pdf", [lines])
    with pypdfium2.PdfDocument(path / "picture.pdf") as document:
        return document[0].render(scale=150 / 72).to_pil().crop((80, 60, 1200, 600)).rotate(90 * quarters, expand=True)


def scan(path, pages, stamp=""):
    """A PDF of images of the pages, None being a page of real text."""
    canvas = Canvas(str(path / "scan.pdf"), pagesize=(560, 270))
    for lines in pages:
        if lines is None:
            canvas.drawString(40, 200, "A page with text of its own.")
        else:
            canvas.drawImage(ImageReader(picture(path, lines)), 0, 0, 560, 270)
            canvas.drawString(10, 10, stamp)
        canvas.showPage()
    canvas.save()
    return path / "scan.pdf"


def likeness(text, lines):
    return difflib.SequenceMatcher(None, text, "\n".join(lines) + "\n", autojunk=False).ratio()


def test_page_ranges_as_people_write_them():
    assert page_numbers([2]) == "page 3"
    assert page_numbers([2, 3, 4, 8]) == "pages 3–5, 9"


@needs_extra
def test_scanned_pages_are_read_and_named(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    path = scan(tmp_path, [None, LINES, []])
    before = sorted(tmp_path.iterdir())

    document = load(path)

    assert texts(document)[0] == "A page with text of its own.\n"
    assert likeness(texts(document)[1], LINES) > 0.97
    assert texts(document)[2] == ""
    assert document.empty_pages == (2,)
    assert document.notice == "Read by text recognition: page 2."
    assert sorted(tmp_path.iterdir()) == before
    assert capfd.readouterr() == ("", "")


@needs_extra
def test_a_scan_under_a_stamp_is_read_too(tmp_path):
    document = load(scan(tmp_path, [LINES], stamp="EXHIBIT 000417"))
    assert all(word in texts(document)[0] for word in ("EM-140", "149.00", "EXHIBIT"))


@needs_extra
@pytest.mark.parametrize("quarters", [1, 2])
def test_images_that_lie_on_their_side(tmp_path, quarters):
    picture(tmp_path, LINES, quarters).save(tmp_path / "photo.jpg", quality=90)

    document = load(tmp_path / "photo.jpg")

    assert likeness(texts(document)[0], LINES) > 0.97
    assert (document.sections[0].page_index, document.notice) == (None, "Read by text recognition.")


@needs_extra
def test_a_tiff_file_has_pages(tmp_path):
    first, second = (picture(tmp_path, lines).convert("1") for lines in (LINES[:1], LINES[1:]))
    first.save(tmp_path / "fax.tiff", save_all=True, append_images=[second])

    document = load(tmp_path / "fax.tiff")

    assert [section.page_label for section in document.sections] == ["1", "2"]
    assert likeness("".join(texts(document)), LINES) > 0.95
    assert document.notice == "Read by text recognition: pages 1–2."


@needs_extra
def test_a_picture_without_text_is_an_empty_document(tmp_path):
    picture(tmp_path, []).save(tmp_path / "blank.png")
    with pytest.raises(EmptyDocument, match="holds no text"):
        load(tmp_path / "blank.png")


@needs_extra
def test_in_the_sandbox_its_memory_is_enough(tmp_path):
    with Sandbox(IngestSettings()) as sandbox:
        document = sandbox.load(scan(tmp_path, [LINES, LINES]), "scan.pdf", ChunkLimit(WORDS, 254))
    assert document.notice == "Read by text recognition: pages 1–2."


@needs_extra
def test_each_page_is_a_heartbeat(tmp_path):
    signs = []
    load(scan(tmp_path, [LINES, None, [], LINES]), limits=Limits(heartbeat=lambda: signs.append(1)))
    assert len(signs) == 3


@without_extra
def test_without_the_extra_the_way_to_it_is_named(tmp_path):
    picture(tmp_path, LINES).save(tmp_path / "photo.png")
    assert ".png" not in LOADERS
    with pytest.raises(UnsupportedFileType) as caught:
        load(tmp_path / "photo.png")
    assert "make setup EXTRAS=ocr" in caught.value.hint
    with pytest.raises(EmptyDocument) as no_text:
        load(scan(tmp_path, [LINES]))
    assert "make setup EXTRAS=ocr" in no_text.value.hint


@pytest.mark.slow
@needs_extra
def test_nothing_is_sent_and_nothing_is_left_at_home(tmp_path):
    path = scan(tmp_path, [["A line to be read."]])
    home = tmp_path / "home"
    home.mkdir()
    program = (
        "import atexit, sys\n"
        "from pathlib import Path\n"
        "heard = []\n"
        "atexit.register(lambda: print(heard))\n"
        "watched = 'socket.connect', 'socket.getaddrinfo', 'socket.send', 'os.fork', 'os.posix_spawn', 'subprocess.'\n"
        "sys.addaudithook(lambda event, _: heard.append(event) if event.startswith(watched) else None)\n"
        "from ingest.loaders import Limits, load_document\n"
        "print(load_document(Path(sys.argv[1]), 'scan.pdf', Limits()).notice)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "TF_BUILD", "JENKINS_URL")}
    ran = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        env={**environment, "HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.stdout == "Read by text recognition.\n[]\n", ran.stderr
    assert list(home.iterdir()) == []
