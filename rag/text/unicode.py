"""Characters that no reader sees: those that spell nothing, where they stand, are taken out of a text.

Joiners and variation selectors stay where a script or an emoji is written with them; tags stay in the flags of England,
Scotland and Wales and their like. The same characters elsewhere can hide whole sentences from a reader, not from a
model.
"""

from __future__ import annotations

import re

_ZERO_WIDTH = "\u00ad\u034f\u180e\u200b-\u200d\u2060-\u2064\u206a-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb"
_DIRECTION = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_SELECTORS = "\ufe00-\ufe0f\U000e0100-\U000e01ef"
_TAGS = "\U000e0000-\U000e007f"
_NOTATION = "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
_RUN = re.compile(f"[{_ZERO_WIDTH}{_DIRECTION}{_SELECTORS}{_TAGS}{_NOTATION}]+")
_ALL = re.compile(f"{_RUN.pattern}|[\u115f\u1160\u17b4\u17b5]+")

_SYMBOL = (
    "\u00a9\u00ae\u203c\u2049\u20e3\u2122\u2139\u2190-\u23ff\u2460-\u27bf\u2900-\u297f\u2b00-\u2bff\u3030\u303d"
    "\u3297\u3299\U0001f000-\U0001faff"
)
_IDEOGRAPH = "\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_JOINED = (  # scripts whose letters change their shape beside one another: Arabic to N'Ko, Indic, Khmer, Mongolian …
    "\u0600-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u18af\u1900-\u1cff\ua840-\uabff\ufb50-\ufdff\ufe70-\ufefc"
    "\U00010a00-\U00011fff\U0001e900-\U0001e95f"
)
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese and Khmer may mark words by a zero-width space
)
_MEANT = re.compile(
    # what may follow a visible character, one kind of character a line
    f"(?<=\U0001f3f4)[\U000e0030-\U000e0039\U000e0061-\U000e007a]{{3,5}}\U000e007f"
    f"|(?<=[{_SYMBOL}])[\ufe0e\ufe0f]?\u200d?(?=[{_SYMBOL}])"
    f"|(?<=[{_SYMBOL}0-9#*])[\ufe0e\ufe0f]"
    f"|(?<=[{_IDEOGRAPH}])[\ufe00-\ufe02\U000e0100-\U000e01ef]"
    f"|(?<=[{_JOINED}])[\u200c\u200d\ufe00](?![\u200c\u200d])"
    f"|(?<=[\u2200-\u22ff\u2a00-\u2aff])\ufe00"
    f"|(?<=[{_UNSPACED}])\u200b(?=[{_UNSPACED}])"
)
_SMUGGLED = re.compile(f"[{_TAGS}]{{2,}}|[{_SELECTORS}]{{4,}}|[{_ZERO_WIDTH}]{{16,}}")


def without_half_characters(text: str) -> str:
    """`text` with a question mark for every half of a character (a client may cut an emoji in two): UTF-8 has none."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def without_invisible(text: str) -> str:
    """`text` without characters that show nothing and mean nothing where they stand."""
    return text if text.isascii() else _RUN.sub(_meant, text)


def without_any_invisible(text: str) -> str:
    """`text` without any of them, meant or not: for comparing, not for showing."""
    return text if text.isascii() else _ALL.sub("", text)


def smuggles(text: str) -> bool:
    """Whether invisible characters in `text` are so many together that they spell something."""
    return not text.isascii() and any(len(_meant(run)) < len(run[0]) for run in _SMUGGLED.finditer(text))


def _meant(run: re.Match[str]) -> str:
    """What of a run of invisible characters belongs to the visible ones around it: at most its beginning."""
    meant = _MEANT.match(run.string, run.start())
    return run.string[run.start() : min(meant.end(), run.end())] if meant else ""
