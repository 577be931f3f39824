"""Text as spans: sentences, and the words that carry meaning.

Spans are half-open character ranges `(start, end)` of the text they were found in, so whoever quotes a sentence can
point at it. Nothing here loads a model.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

from rag.text.codes import code_words

if TYPE_CHECKING:
    import tantivy

Span = tuple[int, int]

ANALYSIS_VERSION = "5"  # of what `terms` gives and an index of words holds; one of another version is made again

_TERMINAL = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’»)\]]*(?=\s)|[。！？]+[」』”）]*")
_BLANK_LINE = re.compile(r"\n[^\S\n]*\n")
_LIST_ITEM = re.compile(r"[^\S\n]*(?:[-*•‣▪–]|\(?\d{1,3}[.)]|\(?[a-z][.)]|#{1,6})\s")
_ABBREVIATION = re.compile(
    r"(?:\b(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|No|Nos|Nr|Art|Sec|Fig|Vol|Inc|Ltd|Co|Corp|Jr|Sr|vs|cf|approx|incl|ca|bzw|pp?"
    r"|e\.g|i\.e|z\.B|d\.h|u\.a|U\.S|U\.K|a\.m|p\.m|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec))\.$"
)
_LABEL = re.compile(r"[^.;:\n]{1,60}: ")
# What a stop word list for documents lacks: the words that questions are made of.
_FUNCTION_WORDS = (  # noqa: SIM905  (a list of 95 lines would be read by nobody)
    "about after all also am any because been before being between both can could did do does doing during each from "
    "had has have he her here him his how i if its just me more most my nor off once only other our out over own same "
    "she should so some such than their them then there these they this those through under until up us very was we "
    "were what when where which while who whom whose why will with would you your s t d m ll re ve don doesn didn isn "
    "wasn aren won wouldn couldn shouldn please tell"
).split(" ")
_OTHER_SCRIPT = re.compile("[^\x00-\u024f\u1e00-\u1eff\u2000-\u206f\u20a0-\u20cf\u2100-\u214f\u2190-\u25ff]")
# Marks above and below letters: combining accents, Hebrew points, Arabic vowels and the stretched line, signs that join
# or silence Indic consonants, Thai and Lao tones.
_MARKS = re.compile(
    "[\u0300-\u036f\u0483-\u0487\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u093c\u094d\u09bc\u09cd\u0a3c\u0a4d"
    "\u0abc\u0acd\u0b3c\u0b4d\u0bcd\u0c4d\u0ccd\u0d4d\u0e47-\u0e4e\u0ec8-\u0ecd\u1037\u1039\u103a\u17c6-\u17d3]"
)
_IDEOGRAPHIC_RUN = re.compile(
    "[\u3005-\u3007\u3041-\u3096\u3099\u309a\u30a1-\u30fc\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff]+"
)
_SYLLABIC_RUN = re.compile("[\u0e00-\u0e4f\u0e80-\u0edf\u1000-\u109f\u1780-\u17df]+")
_SOFT_WRAP_SHARE = 0.7  # a line at least this long, compared with its paragraph's longest, may go on in the next


def sentence_spans(text: str) -> list[Span]:
    """The sentences of `text`, in order, without surrounding white space.

    A line break inside a paragraph is a soft wrap and ends nothing; a table row, list item, heading or blank line
    does. The rules fit running text in languages with `.!?` or `。！？`; they were written for this project and aim at
    text extracted from PDFs, where line breaks mean little.
    """
    spans: list[Span] = []
    for start, end in _blocks(text):
        spans += _split_block(text, start, end)
    return spans


def _blocks(text: str) -> list[Span]:
    """Paragraphs, and single lines where a line break is a hard one."""
    blocks: list[Span] = []
    paragraph_start = 0
    for border in [*(m.start() for m in _BLANK_LINE.finditer(text)), len(text)]:
        blocks += _split_lines(text, paragraph_start, border)
        paragraph_start = border
    return blocks


def _split_lines(text: str, start: int, end: int) -> list[Span]:
    lines: list[Span] = []
    position = start
    for line in text[start:end].splitlines(keepends=True):
        if line.strip():
            lines.append((position, position + len(line)))
        position += len(line)
    longest = max((len(text[a:b].strip()) for a, b in lines), default=0)
    blocks: list[Span] = []
    last = ""
    for line_start, line_end in lines:
        line = text[line_start:line_end]
        if blocks and _is_soft_wrap(last, line, longest):
            blocks[-1] = (blocks[-1][0], line_end)
        else:
            blocks.append((line_start, line_end))
        last = line.strip()
    return blocks


def _is_soft_wrap(last: str, after: str, longest: int) -> bool:
    """Whether the paragraph that ends with the line `last` (stripped) goes on in the line `after`."""
    following = after.strip()
    if " | " in last or " | " in following or last.startswith("#") or _LIST_ITEM.match(after):
        return False
    label = _LABEL.match(following)
    if label and last.startswith(label[0]):  # two rows of one table: `Name: … ` above `Name: … `
        return False
    if following[0].islower():
        return True
    return len(last) >= _SOFT_WRAP_SHARE * longest and last[-1] not in ".!?:;。！？"


def _split_block(text: str, start: int, end: int) -> list[Span]:
    spans: list[Span] = []
    position = start
    for match in _TERMINAL.finditer(text, start, end):
        rest = text[match.end() : match.end() + 2].lstrip()
        if rest and rest[0].islower():
            continue
        if match[0].startswith(".") and _ABBREVIATION.search(text, max(position, match.start() - 8), match.start() + 1):
            continue
        spans.append((position, match.end()))
        position = match.end()
    spans.append((position, end))
    return [trimmed for span in spans if (trimmed := trim(text, span))[0] < trimmed[1]]


def trim(text: str, span: Span) -> Span:
    """`span` without white space at either end."""
    start, end = span
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


@cache
def analyzer() -> tantivy.TextAnalyzer:
    """The analysis that the lexical index uses: words, lower-cased, accents folded, function words dropped, stemmed."""
    from tantivy import Filter, TextAnalyzerBuilder, Tokenizer

    return (
        TextAnalyzerBuilder(Tokenizer.simple())
        .filter(Filter.remove_long(64))
        .filter(Filter.lowercase())
        .filter(Filter.ascii_fold())
        .filter(Filter.stopword("english"))
        .filter(Filter.custom_stopword(_FUNCTION_WORDS))
        .filter(Filter.stemmer("english"))
        .build()
    )


def terms(text: str) -> list[str]:
    """The meaningful words of `text` as the lexical index knows them, in order, repeated words repeated."""
    return list(analyzer().analyze(segmented(text)))


def segmented(text: str) -> str:
    """`text` as `analyzer` takes it: without accents and vowel marks, and with spaces in scripts that are written
    without: overlapping pairs of Chinese, Japanese and Korean characters, as Lucene's CJKAnalyzer has them, and triples
    of Thai, Lao, Khmer and Burmese ones. Codes and dates follow at the end as words of their own: see codes.py."""
    if codes := " ".join(code_words(text)):
        text = f"{text}\n{codes}"
    if not _OTHER_SCRIPT.search(text):  # Latin letters with accents are `analyzer`'s own affair
        return text
    text = unicodedata.normalize("NFC", _MARKS.sub("", unicodedata.normalize("NFKD", text)))
    return _SYLLABIC_RUN.sub(
        lambda run: _overlapping(run[0], 3), _IDEOGRAPHIC_RUN.sub(lambda run: _overlapping(run[0], 2), text)
    )


def _overlapping(run: str, size: int) -> str:
    pieces = [run[start : start + size] for start in range(max(1, len(run) - size + 1))]
    return f" {' '.join(pieces)} "


def contextual_text(title: str, heading: str, body: str) -> str:
    """What is embedded of a chunk: its body under the document's title and the heading path, which a reader would see
    on the page; what is quoted is the body alone."""
    return "\n".join(part for part in (title, heading, body) if part)
