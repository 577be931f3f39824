"""Text as spans: sentences, and the words that carry meaning.

Spans are half-open character ranges `(start, end)` of the text they were found in, so whoever quotes a sentence can
point at it. Nothing here loads a model.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tantivy

Span = tuple[int, int]

_TERMINAL = re.compile(r"[.!?…]+[\"'”’»)\]]*(?=\s)|[。！？]+[」』”）]*")
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
    return list(analyzer().analyze(text))


def contextual_text(title: str, heading: str, body: str) -> str:
    """What is embedded of a chunk: its body under the document's title and the heading path, which a reader would see
    on the page; what is quoted is the body alone."""
    return "\n".join(part for part in (title, heading, body) if part)
