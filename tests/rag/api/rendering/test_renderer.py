"""Pages of PDF files, drawn in a process of their own."""

import asyncio
import io
from dataclasses import replace

import pytest
from PIL import Image

from rag.api.rendering.highlight import boxes_of
from rag.api.rendering.renderer import PageDrawer
from rag.errors import NotFound, UnreadableDocument
from rag.storage.file_hash import hash_of
from rag.storage.source_files import SourceFiles
from tests.ingest.loaders.documents import make_pdf, rewrite_pdf
from tests.rag.versions import make_version


@pytest.fixture
def manual(tmp_path):
    return make_pdf(tmp_path / "manual.pdf", [["The pump needs oil.", "Every day."], ["Another page."]])


def document_of(path, bag_of_words):
    version = make_version("doc_a", ["Text."], bag_of_words)
    sha256 = hash_of(path) if path.exists() else ""
    return replace(version.document, content=path, source=str(path), media_type="application/pdf", sha256=sha256)


def pixels(page, box):
    """The box in pixels of the picture, and one more at each side, as letters are drawn with soft edges."""
    left, top, right, bottom = box
    return (
        left * page.width // 10_000 - 1,
        top * page.height // 10_000 - 1,
        right * page.width // 10_000 + 2,
        bottom * page.height // 10_000 + 2,
    )


async def test_a_page_is_a_picture_with_its_words_where_they_are_drawn(manual, bag_of_words):
    page = await PageDrawer(SourceFiles()).page(document_of(manual, bag_of_words), 0)
    picture = Image.open(io.BytesIO(page.picture)).convert("L")
    assert picture.size == (page.width, page.height)
    assert page.pages == 2
    text = "The pump needs oil.\nEvery day.\n"
    (box,) = boxes_of(page.characters, text, 0, 19)
    area = pixels(page, box)
    assert picture.crop(area).getextrema()[0] < 100, "the words are in the box"
    picture.paste(255, area)
    below = boxes_of(page.characters, text, 20, 30)[0][1] * page.height // 10_000
    assert picture.crop((0, 0, page.width, below)).getextrema()[0] == 255, "and nothing of the line is outside"


@pytest.mark.parametrize("angle", [90, 180, 270])
async def test_on_a_turned_page_the_box_turns_too(manual, angle, bag_of_words):
    rewrite_pdf(manual, lambda writer: writer.pages[0].rotate(angle))
    page = await PageDrawer(SourceFiles()).page(document_of(manual, bag_of_words), 0)
    picture = Image.open(io.BytesIO(page.picture)).convert("L")
    for quote in ("The pump needs oil.", "Every day."):
        boxes = [pixels(page, box) for box in boxes_of(page.characters, quote, 0, len(quote))]
        assert all(picture.crop(area).getextrema()[0] < 128 for area in boxes)
        for area in boxes:
            picture.paste(255, area)
    assert picture.getextrema()[0] > 128, "all words were in their boxes"


async def test_a_huge_page_is_drawn_small(tmp_path, manual, bag_of_words):
    def widen(writer):
        writer.pages[0].mediabox.upper_right = (14_000, 14_000)

    page = await PageDrawer(SourceFiles()).page(document_of(rewrite_pdf(manual, widen), bag_of_words), 0)
    assert max(page.width, page.height) <= 2000


async def test_what_is_no_pdf_or_has_no_such_page_or_is_gone(tmp_path, manual, bag_of_words):
    drawer = PageDrawer(SourceFiles())
    with pytest.raises(NotFound, match="no page 3"):
        await drawer.page(document_of(manual, bag_of_words), 2)
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.7\nnot really")
    with pytest.raises(UnreadableDocument, match=r"Page 1 of broken\.pdf"):
        await drawer.page(document_of(broken, bag_of_words), 0)
    with pytest.raises(NotFound, match="no longer"):
        await drawer.page(document_of(tmp_path / "gone.pdf", bag_of_words), 0)


async def test_a_page_is_drawn_once_and_kept_as_long_as_there_is_room(manual, bag_of_words):
    document = document_of(manual, bag_of_words)
    roomy = PageDrawer(SourceFiles())
    first, second = await asyncio.gather(roomy.page(document, 0), roomy.page(document, 0))
    assert first is second
    manual.unlink()
    assert await roomy.page(document, 0) is first
    with pytest.raises(NotFound):
        await PageDrawer(SourceFiles(), kept=0).page(document, 0)


async def test_whoever_leaves_does_not_take_the_page_with_them(manual, bag_of_words):
    drawer, document = PageDrawer(SourceFiles()), document_of(manual, bag_of_words)
    hasty = asyncio.create_task(drawer.page(document, 0))
    patient = asyncio.create_task(drawer.page(document, 0))
    await asyncio.sleep(0)
    hasty.cancel()
    assert (await patient).pages == 2
