"""Text recognition (OCR): what stands on scanned pages and in images, read on this machine by RapidOCR's models.

It is the extra `ocr`. The models lie in the installed package: nothing is downloaded, written or printed.
"""

from __future__ import annotations

import importlib.util
import logging
import math
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from ingest.loaders.base import Extracted, Limits, Section, page_numbers
from ingest.loaders.pdf.layout import Run, shares_line, text_of
from rag.models.privacy import silence_openvino

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

logger = logging.getLogger(__name__)

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp")
LONGEST_SIDE = 1600  # pixels of the image of a page: at 2000 it takes a third longer and reads no better
_THREADS = 2
_PROPORTION_STEP = 5  # a line's width in heights is rounded up to a multiple of this
_LEAST_SCORE = 0.5  # a line that the model is less sure of is none
_GOOD_SCORE = 0.75  # mean confidence; an image turned by 90 or 180 degrees reads below it


def is_installed() -> bool:
    """Whether the extra `ocr` is; cheap."""
    return importlib.util.find_spec("rapidocr") is not None


def load_image(path: Path, name: str, limits: Limits) -> Extracted:
    """The text in an image; of a TIFF file with several pages, page by page. Raises UnreadableDocument."""
    from PIL import Image, ImageSequence

    with Image.open(path) as image:
        frames = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
        limits.check_pages(frames, name)
        texts: list[str] = []
        for number, frame in enumerate(ImageSequence.Iterator(image)):
            if number == frames:
                break
            texts.append(recognised(_pixels(frame)))
            limits.heartbeat()
    sections = [
        Section(text, index if frames > 1 else None, str(index + 1) if frames > 1 else None)
        for index, text in enumerate(texts)
    ]
    return Extracted("", sections, notice([index for index, text in enumerate(texts) if text], frames))


def notice(recognised: list[int], pages: int) -> str:
    """What the user should know: which of the pages (from 0) were read by text recognition."""
    which = f": {page_numbers(recognised)}" if pages > 1 else ""
    return f"Read by text recognition{which}." if recognised else ""


def recognised(image: np.ndarray[Any, Any]) -> str:
    """The text in an image (height × width × 3 bytes, blue first), lines in reading order; "" if there is none."""
    import numpy as np

    best = _read(image)
    if not best:
        return ""
    if _is_doubtful(best):
        best = max([best, *(_read(np.rot90(image, quarters)) for quarters in (1, 2, 3))], key=_certainty)
    return _text(best)


class _Found(NamedTuple):
    """A line of text as it was found: how sure the model is of it (0 to 1), and its box in pixels; y grows upwards."""

    score: float
    run: Run

    @property
    def is_upright(self) -> bool:
        return self.run.right - self.run.left >= self.run.height


def _read(image: np.ndarray[Any, Any]) -> list[_Found]:
    import cv2
    import numpy as np
    from rapidocr.utils.process_img import get_rotate_crop_image

    scale = min(1.0, LONGEST_SIDE / max(image.shape))
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    engine = _engine()
    boxes = engine(image, use_det=True, use_cls=False, use_rec=False).boxes
    found = []
    for box in boxes if boxes is not None else ():
        line = _widened(get_rotate_crop_image(image, np.asarray(box, np.float32)))
        result = engine(line, use_det=False, use_cls=False, use_rec=True)
        if result.txts and result.txts[0].strip() and result.scores[0] >= _LEAST_SCORE:
            left, top, right, bottom = map(float, (*np.min(box, axis=0), *np.max(box, axis=0)))
            run = Run(result.txts[0].strip(), False, left, right, -bottom, -top, False)
            found.append(_Found(float(result.scores[0]), run))
    return found


def _widened(line: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The image of a line with its right edge repeated, up to the next of a few proportions.

    OpenVINO keeps a plan for every size that it has met: for each line another one would take memory without bound.
    """
    import numpy as np

    height, width = line.shape[:2]
    proportion = math.ceil(width / height / _PROPORTION_STEP) * _PROPORTION_STEP
    return np.pad(line, ((0, 0), (0, max(0, proportion * height - width)), (0, 0)), mode="edge")


@cache
def _engine() -> Any:
    silence_openvino()
    import rapidocr

    folder = Path(rapidocr.__path__[0]) / "models"
    settings: dict[str, Any] = {
        "Global.log_level": "critical",
        "Rec.rec_batch_num": 1,
        "EngineConfig.openvino.inference_num_threads": _THREADS,
    }
    for part, kind in {"Det": "det", "Rec": "rec"}.items():
        settings[f"{part}.model_path"] = str(min(folder.glob(f"*_{kind}_*.onnx")))  # what is named is not downloaded
        settings[f"{part}.engine_type"] = rapidocr.EngineType.OPENVINO
    return rapidocr.RapidOCR(params=settings)


def _certainty(found: list[_Found]) -> float:
    """Characters of lines that are not on their side, weighted with the confidence in them."""
    return math.fsum(len(line.run.text) * line.score**4 for line in found if line.is_upright)


def _is_doubtful(found: list[_Found]) -> bool:
    """Whether the image may lie on its side or upside down."""
    upright = sum(line.is_upright for line in found)
    return fmean(line.score for line in found) < _GOOD_SCORE or upright < len(found) / 2


def _text(found: list[_Found]) -> str:
    rows: list[list[Run]] = []
    for run in sorted((line.run for line in found), key=lambda run: -run.top - run.bottom):
        if rows and shares_line(rows[-1][0], run):
            rows[-1].append(run)
        else:
            rows.append([run])
    return text_of([run for row in rows for run in sorted(row, key=lambda run: run.left)])


def _pixels(image: Image) -> np.ndarray[Any, Any]:
    """The image upright, on white, no larger than needed."""
    import numpy as np
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):  # 16 or 32 bits of grey
        low, high = image.getextrema()
        scale = 255 / max(float(high) - float(low), 1.0)  # type: ignore[arg-type]
        image = image.point(lambda value: (value - low) * scale).convert("L")
    image.thumbnail((2 * LONGEST_SIDE, 2 * LONGEST_SIDE))
    image = image.convert("RGBA")
    background = Image.new("RGBA", image.size, "white")
    return np.ascontiguousarray(np.asarray(Image.alpha_composite(background, image).convert("RGB"))[:, :, ::-1])
