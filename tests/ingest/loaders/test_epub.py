"""Books: chapters in reading order, headed by the table of contents, and copy protection."""

from __future__ import annotations

import zipfile

import pytest

from rag.errors import UnreadableDocument
from tests.ingest.loaders.documents import headings, load, texts

CONTAINER = '<container><rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></container>'
NCX = (
    '<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap><navPoint><navLabel><text>Part I</text></navLabel>'
    '<content src="a%20b.xhtml"/><navPoint><navLabel><text>Firing &nbsp; up</text></navLabel>'
    '<content src="two.xhtml"/></navPoint></navPoint></navMap></ncx>'
)
NAV = (
    '<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops"><body><nav epub:type="toc">'
    '<ol><li><a href="a%20b.xhtml">Part I</a><ol><li><a href="two.xhtml"><i>Firing</i> up</a></li></ol></li></ol></nav>'
    '<nav epub:type="landmarks"><ol><li><a href="two.xhtml">Start</a></li></ol></nav></body></html>'
)
PAGE = '<?xml version="1.0" encoding="{0}"?><html xmlns="http://www.w3.org/1999/xhtml"><body>{1}</body></html>'


def make(path, *, contents, extra=()):
    kind, properties = ("application/x-dtbncx+xml", "") if contents is NCX else ("application/xhtml+xml", "nav")
    pages = {
        "three.xhtml": PAGE.format("utf-8", "<p>Goes on.</p><h1>Cooling</h1><p>Slowly.</p>").encode(),
        "a b.xhtml": PAGE.format("iso-8859-1", "<h1>PART I</h1><p>Kühl.</p>").encode("latin-1"),
        "two.xhtml": PAGE.format("utf-8", "<p>Light it.</p>").encode(),
    }
    items = "".join(f'<item id="{n[0]}" href="{n}" media-type="application/xhtml+xml"/>' for n in pages)
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<dc:title>The kiln book</dc:title></metadata><manifest>{items.replace('a b', 'a%20b')}"
        f'<item id="c" href="contents" properties="{properties}" media-type="{kind}"/>'
        '<item id="lost" href="lost.xhtml" media-type="application/xhtml+xml"/></manifest>'
        '<spine><itemref idref="c"/><itemref idref="a"/><itemref idref="two"/><itemref idref="t"/></spine></package>'
    ).replace('id="t" href="two', 'id="two" href="two')
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/epub+zip")
        archive.writestr("META-INF/container.xml", CONTAINER)
        archive.writestr("OPS/book.opf", package)
        archive.writestr("OPS/contents", contents)
        for name, page in pages.items():
            archive.writestr(f"OPS/{name}", page)
        for name, data in extra:
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("contents", [NCX, NAV])
def test_chapters_in_reading_order_headed_by_the_table_of_contents(tmp_path, contents):
    document = load(make(tmp_path / "a.epub", contents=contents))

    assert document.title == "The kiln book"
    assert texts(document) == ["PART I\nKühl.\n\n", "Light it.\n\n", "Goes on.\n\n", "Cooling\nSlowly.\n\n"]
    assert headings(document) == ["PART I", "Part I › Firing up", "Part I › Firing up", "Cooling"]
    assert document.notice == ""


def test_a_missing_chapter_is_told(tmp_path):
    make(tmp_path / "whole.epub", contents=NAV)
    with zipfile.ZipFile(tmp_path / "whole.epub") as whole, zipfile.ZipFile(tmp_path / "a.epub", "w") as cut:
        for name in whole.namelist():
            if name != "OPS/two.xhtml":
                cut.writestr(name, whole.read(name))

    document = load(tmp_path / "a.epub")

    assert len(document.sections) == 3
    assert document.notice == "1 chapters are missing in the file."


def test_encrypted_chapters_are_refused_and_scrambled_fonts_are_not(tmp_path):
    encryption = '<encryption><EncryptedData><CipherReference URI="OPS/{}"/></EncryptedData></encryption>'
    for name, member in (("fonts.epub", "font.otf"), ("protected.epub", "two.xhtml")):
        make(tmp_path / name, contents=NAV, extra=[("META-INF/encryption.xml", encryption.format(member))])

    assert len(load(tmp_path / "fonts.epub").sections) == 4
    with pytest.raises(UnreadableDocument, match=r"protected against copying \(DRM\)"):
        load(tmp_path / "protected.epub")


def test_a_book_without_contents_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.epub", "w") as archive:
        archive.writestr("mimetype", "application/epub+zip")
        archive.writestr("META-INF/container.xml", CONTAINER)

    with pytest.raises(UnreadableDocument, match="does not say where its contents are"):
        load(tmp_path / "a.epub")
