"""What lies over the pages of a PDF, and what is attached to them."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest
from PIL import Image, ImageDraw
from pypdf.annotations import FreeText, Text
from pypdf.generic import ArrayObject, DictionaryObject, NameObject, NumberObject, StreamObject, TextStringObject
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from tests.commands import ROOT
from tests.ingest.loaders.documents import headings, load, make_pdf, rewrite_pdf, texts


def form(path, *, drawn=True):
    """A form that was filled in; its boxes are drawn by the viewer alone if not `drawn`."""
    canvas = Canvas(str(path))
    for bottom, label in ((700, "Name:"), (670, "Locker:"), (640, "Sent by:"), (610, "Express"), (580, "Insured")):
        canvas.drawString(100, bottom, label)
    fields = canvas.acroForm
    fields.textfield(name="name", value="Marlow Fennick", x=200, y=695, width=200, height=20)
    fields.textfield(name="locker", value="4417-B", x=200, y=665, width=200, height=20)
    fields.choice(name="by", value="Courier", options=["Post", "Courier"], x=200, y=635, width=200, height=20)
    fields.checkbox(name="express", checked=True, x=80, y=608, size=14)
    fields.checkbox(name="insured", checked=False, x=80, y=578, size=14)
    canvas.showPage()
    canvas.save()

    def undrawn(writer):
        for annotation in writer.pages[0]["/Annots"]:
            annotation.get_object().pop("/AP", None)

    return path if drawn else rewrite_pdf(path, undrawn)


@pytest.mark.parametrize("drawn", [True, False])
def test_what_was_filled_in_stands_beside_its_label(tmp_path, drawn):
    lines = ["Name: | Marlow Fennick", "Locker: | 4417-B", "Sent by: | Courier", "☒ Express", "Insured"]
    assert texts(load(form(tmp_path / "form.pdf", drawn=drawn))) == ["\n".join(lines) + "\n"]


def test_what_was_filled_in_is_found_on_the_picture_of_the_page(tmp_path):
    worker = [sys.executable, "-m", "rag.api.rendering.worker", str(form(tmp_path / "form.pdf")), "0"]
    head = json.loads(subprocess.run(worker, capture_output=True, check=True).stdout.partition(b"\n")[0])
    place = head["text"].index("Marlow")
    left, top, _, _ = head["boxes"][4 * place : 4 * place + 4]
    assert (left / 10_000, top / 10_000) == pytest.approx((200 / 595, 1 - 715 / 842), abs=0.03)


def test_notes_are_told_with_their_author_and_links_are_none(tmp_path):
    def annotate(writer):
        note = Text(rect=(50, 700, 70, 720), text="Ask the auditor\nbefore October.", title_bar="Ida")
        writer.add_annotation(0, note)
        writer.add_annotation(0, FreeText(rect=(50, 500, 250, 520), text="Kept nine years."))
        hidden = Text(rect=(50, 600, 70, 620), text="Nobody sees this.")
        hidden[NameObject("/F")] = NumberObject(2)
        writer.add_annotation(0, hidden)

    path = rewrite_pdf(make_pdf(tmp_path / "a.pdf", [["Invoices are kept."]]), annotate)
    [text] = texts(load(path))
    assert text.startswith("Invoices are kept.\n")
    assert "Comment by Ida: Ask the auditor before October.\n" in text
    assert "Kept nine years." in text
    assert "Nobody" not in text


def test_notes_do_not_keep_a_running_foot(tmp_path):
    pages = [[f"Text of page {number}.", "ACME internal"] for number in range(5)]

    def annotate(writer):
        writer.add_annotation(2, Text(rect=(50, 700, 70, 720), text="Check this."))

    document = load(rewrite_pdf(make_pdf(tmp_path / "a.pdf", pages), annotate))
    assert texts(document)[2] == "Text of page 2.\nComment: Check this.\n"


def attached(path, pages, files):
    return rewrite_pdf(
        make_pdf(path, pages), lambda writer: [writer.add_attachment(name, data) for name, data in files.items()]
    )


def test_attached_files_are_read_under_the_document(tmp_path):
    inner = attached(tmp_path / "inner.pdf", [["The chamber is dry."]], {"deep.txt": b"Too deep."}).read_bytes()
    files = {"notes.txt": b"The dew point is 11 degrees.", "inner.pdf": inner, "tool.exe": b"MZ", "empty.txt": b" "}
    document = load(attached(tmp_path / "portfolio.pdf", [["Open this portfolio."]], files))
    assert sorted(zip(headings(document), texts(document), strict=True)) == [
        ("", "Open this portfolio.\n"),
        ("Attachment › inner.pdf › page 1", "The chamber is dry.\n\n"),
        ("Attachment › notes.txt", "The dew point is 11 degrees.\n\n"),
    ]
    assert document.pages == 1
    assert [section.page_index for section in document.sections] == [0, None, None]
    assert "“deep.txt”" in document.notice
    assert "“tool.exe” was not read" in document.notice
    assert "“empty.txt” holds no text" in document.notice


def test_a_file_that_is_pinned_to_a_page_is_read(tmp_path):
    def pin(writer):
        stream = StreamObject()
        stream.set_data(b"The seal is replaced in May.")
        stream[NameObject("/Type")] = NameObject("/EmbeddedFile")
        file = DictionaryObject(
            {
                NameObject("/Type"): NameObject("/Filespec"),
                NameObject("/F"): TextStringObject("seal.txt"),
                NameObject("/UF"): TextStringObject("seal.txt"),
                NameObject("/EF"): DictionaryObject({NameObject("/F"): writer._add_object(stream)}),
            }
        )
        annotation = DictionaryObject(
            {
                NameObject("/Type"): NameObject("/Annot"),
                NameObject("/Subtype"): NameObject("/FileAttachment"),
                NameObject("/Rect"): ArrayObject(map(NumberObject, (50, 700, 70, 720))),
                NameObject("/FS"): writer._add_object(file),
            }
        )
        writer.pages[0][NameObject("/Annots")] = ArrayObject([writer._add_object(annotation)])

    document = load(rewrite_pdf(make_pdf(tmp_path / "a.pdf", [["The pump."]]), pin))
    assert texts(document) == ["The pump.\n", "The seal is replaced in May.\n\n"]


@pytest.mark.parametrize("same_place", [False, True])
def test_a_layer_that_is_switched_off_is_not_read(tmp_path, same_place):
    path = make_pdf(tmp_path / "layers.pdf", [["The deposit is:"]])

    def add_layers(writer):
        def layer(name):
            return writer._add_object(
                DictionaryObject({NameObject("/Type"): NameObject("/OCG"), NameObject("/Name"): TextStringObject(name)})
            )

        groups = {"/On": layer("current"), "/Off": layer("old")}
        shown = DictionaryObject({NameObject("/OFF"): ArrayObject([groups["/Off"]])})
        writer._root_object[NameObject("/OCProperties")] = DictionaryObject(
            {NameObject("/OCGs"): ArrayObject(groups.values()), NameObject("/D"): shown}
        )
        page = writer.pages[0]
        page["/Resources"][NameObject("/Properties")] = DictionaryObject(
            {NameObject(name): group for name, group in groups.items()}
        )
        heights = (700, 700 if same_place else 650)
        drawn = "".join(
            f"/OC {name} BDC BT /F1 12 Tf 72 {height} Td ({amount} EUR) Tj ET EMC\n"
            for name, height, amount in zip(groups, heights, (250, 999), strict=True)
        )
        stream = StreamObject()
        stream.set_data(page.get_contents().get_data() + drawn.encode())
        page[NameObject("/Contents")] = writer._add_object(stream)

    document = load(rewrite_pdf(path, add_layers))
    assert texts(document) == ["The deposit is:\n250 EUR\n"]
    assert "Hidden text was left out: page 1." in document.notice


def test_scans_with_a_stamp_are_told(tmp_path):
    picture = Image.new("L", (600, 800), 255)
    ImageDraw.Draw(picture).rectangle((50, 50, 300, 70), fill=0)
    file = io.BytesIO()
    picture.save(file, "PNG")
    canvas = Canvas(str(tmp_path / "produced.pdf"))
    for number in range(2):
        canvas.drawImage(ImageReader(file), 30, 60, 540, 720)
        canvas.drawString(72, 30, f"CONFIDENTIAL - produced subject to the protective order; Page ACME-{number:06}")
        canvas.drawString(72, 15, "Disclosure to third parties is prohibited under the order of 4 May 2021.")
        canvas.showPage()
    canvas.save()
    program = (
        "import sys; sys.modules['rapidocr'] = None  # as if it were not installed\n"
        "from pathlib import Path\n"
        "from tests.ingest.loaders.documents import load; print(load(Path(sys.argv[1])).notice)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "produced.pdf")]
    notice = subprocess.run(command, capture_output=True, check=True, text=True, cwd=ROOT).stdout
    assert "Pictures fill most of pages 1–2" in notice
