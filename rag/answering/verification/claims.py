"""Whether a source bears out what is claimed of it: each sentence of an answer against the passages it cites.

Words, numbers, names, negations and opposites are compared; no model is asked. So a wrong number, name or source is
found, and a sentence that misreads what the page means in the page's own words is not (figures in docs/support.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from rag.answering.verification.addresses import unasked_address
from rag.answering.verification.checks import ClaimMatch
from rag.answering.verification.evidence import Source, source_of
from rag.answering.verification.numbers import quantities
from rag.text.analysis import sentence_spans, terms
from rag.text.markers import cited_numbers, find_markers, replace_markers, without_markers
from rag.types.documents import Claim, Passage, Verdict

_CODE_BLOCK = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_LIST_MARK = re.compile(r"\A\s*(?:(?:[-*•‣▪–+>]|\(?\d{1,3}[.)]|\(?[a-z][.)])(?:\s+|\Z))+")
_HEADING = re.compile(r"#{1,6}\s|\|?[\s:|-]+\|?\Z")
_BOLD = re.compile(r"\*\*([^*]+)\*\*([.:]?)")
_STATEMENT_END = re.compile(r"[\d.!?。！？%€$£]\Z")
_REPLY = re.compile(r"\A(?:yes|no|ja|nein|oui|non|sí|correct|right)\b[,.:;–—-]*\s*", re.IGNORECASE)
_NO_CLAIM = re.compile(
    r"(?:(?:sure|certainly|of course|unfortunately|in summary|to summari[sz]e|based on the (?:documents|sources))\b"
    r"[,.:;!–—-]*\s*)*"
    r"(?:\Z|(?:i|we)(?:['’]ve|\shave)?\sfound (?:the following|this|these|that|it|no|nothing)\b"
    r"|i(?:['’]ve|\shave)?\s(?:found|hope|searched|looked|checked|read)\b"
    r"|i(?:['’]m|\sam)\s(?:sorry|afraid|happy|glad|here|unable|not (?:sure|able))\b"
    r"|i(?:['’]ll|\s(?:can|could|will|would|cannot|can['’]t|couldn['’]t|did not|didn['’]t|do not|don['’]t))\s"
    r"(?:not |only |also |be |gladly )*(?:help|find|see|tell|answer|summari[sz]e|explain|list|show|give|look|search"
    r"|know|have|say|need|happy|glad)\b"
    r"|here(?:\s(?:is|are)|['’]s)\b|let me\b|feel free\b|please\b|you['’]re welcome"
    r"|if you (?:need|have|want|would)\b|thanks?\b|hello\b|hi\b|sorry\b)",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"\b(?:i|we|documents?|sources?|passages?|context|texts?|excerpts?|information|pages?)\b.{0,40}"
    r"(?:\bnot\b|n['’]t\b|\bno\b|\bcannot\b|\bnothing\b|\bneither\b).{0,40}"
    r"\b(?:find|found|mention|say|state|specif|contain|provid|inform|answer|tell|includ|address|describ|explain|give)"
    r"|\b(?:there is|is) no (?:information|mention)\b|\bnot (?:mentioned|specified|stated|provided|found|given) in\b",
    re.IGNORECASE,
)
# A sentence that cites something says of the sources that they are silent, or it is a claim: "we do not give refunds".
_SOURCES = (
    r"(?:the|these|your|none of the)\s(?:(?:provided|given|cited|other)\s)?"
    r"(?:documents?|sources?|passages?|excerpts?|context)"
)
_SILENCE = re.compile(
    rf"\A(?:\w+,\s)?{_SOURCES}\s(?:(?:do|does|did)(?:\snot|n['’]t)|cannot|(?:\w+\s)?(?:no|nothing)\b|\w+\sneither)"
    r".{0,40}\b(?:mention|say|state|specif|contain|provid|inform|answer|tell|includ|address|describ|explain|give|about)"
    r"|\A(?:\w+,\s)?I\s(?:could|can|did)(?:\snot|n['’]t|not)\s(?:find|answer)\b"
    rf"|\b(?:no (?:information|mention)\b.*|not (?:mentioned|specified|stated|provided|found|given))\sin {_SOURCES}\b",
    re.IGNORECASE,
)
Sources = Mapping[int, Source]  # by the number that cites it

_ENOUGH, _LITTLE = 0.5, 0.34  # shares of a sentence's words: what is below them is borne out partly, or not


def check_claims(answer: str, passages: Sequence[Passage], question: str = "") -> tuple[Claim, ...]:
    """The sentences of `answer` that claim something, each with its verdict; `[n]` cites the passage of that number.

    A sentence without a marker rests on those that end its paragraph, an item of a list or a row of a table on those of
    the line that leads to it. One with none after it either is unsupported. One
    with an address that the question did not ask for is borne out partly, where the `question` is given.
    """
    by_number = {passage.number: passage for passage in passages}
    sources: dict[tuple[int, ...], Source] = {}
    claims = []
    for start, end, cited in cited_sentences(answer):
        numbers = tuple(number for number in cited if number in by_number)
        sentence = claimed(answer[start:end], bool(numbers))
        if not sentence:
            continue
        if numbers and numbers not in sources:
            sources[numbers] = source_of([by_number[number] for number in numbers])
        verdict, reason = judge(sentence, sources[numbers]) if numbers else ("unsupported", "no source is named")
        if len(numbers) > 1 and verdict == "supported":
            verdict, reason = _judge_parts(answer[start:end], by_number)
        if verdict == "supported" and question and unasked_address(sentence, question, passages):
            verdict, reason = "partly", "nobody asked for this address, and only one page has it"
        claims.append(Claim(start, end, numbers, verdict, reason))
    return tuple(claims)


def _judge_parts(sentence: str, passages: Mapping[int, Passage]) -> tuple[Verdict, str]:
    """The verdict on a sentence that its sources together bear out: each part of it rests on the markers behind it, so
    a number or a negation that only another part's source has is not borne out."""
    begins = 0
    markers = find_markers(sentence)
    for place, marker in enumerate(markers):
        is_last = place + 1 == len(markers) or sentence[marker.end : markers[place + 1].start].strip(" ,")
        if not is_last:
            continue
        part = sentence[begins : marker.end]
        own = [passages[number] for number in cited_numbers(part) if number in passages]
        claim = claimed(part.lstrip(" ,;"), bool(own))
        if own and claim:
            match = ClaimMatch(claim, source_of(own))
            if wrong := match.missing_number() or match.denied():
                return "unsupported", wrong
        begins = marker.end
    return "supported", ""


def cited_sentences(answer: str) -> list[tuple[int, int, tuple[int, ...]]]:
    """The sentences of an answer (start, end) and the sources each cites."""
    blank = _CODE_BLOCK.sub(lambda match: re.sub(r"\S", " ", match[0]), answer)
    blank = replace_markers(blank, lambda marker: " " * (marker.end - marker.start))
    spans = sentence_spans(blank)
    ends = [end for _, end in spans]
    cited: list[list[int]] = [[] for _ in spans]
    for marker in find_markers(answer):
        place = sum(1 for start, _ in spans if start <= marker.start) - 1
        following = answer.find("\n", marker.end)
        line_end = len(answer) if following < 0 else following
        goes_on = place + 1 < len(spans) and spans[place + 1][0] < line_end
        if place < 0 or (marker.start >= ends[place] and goes_on and "\n" in answer[ends[place] : marker.start]):
            place += 1  # it opens its line: "[1] says that …"
        if place < len(spans):
            cited[place].append(marker.number)
            ends[place] = max(ends[place], marker.end)
    leads = _lead_ins(answer)
    lines = [answer.rfind("\n", 0, start) + 1 for start, _ in spans]
    cited = [numbers or leads.get(line, []) for numbers, line in zip(cited, lines, strict=True)]
    for place in range(len(spans) - 2, -1, -1):
        between = answer[ends[place] : spans[place + 1][0]]
        if not cited[place] and not re.search(r"\n\s*\n", between):
            cited[place] = cited[place + 1]
    return [(start, end, tuple(dict.fromkeys(n))) for (start, _), end, n in zip(spans, ends, cited, strict=True)]


def _lead_ins(answer: str) -> dict[int, list[int]]:
    """The sources that items of a list and rows of a table have from the line that leads to them, as "The fees [1]:"
    does: by the offset at which their line begins."""
    numbers: dict[int, list[int]] = {}
    lead: list[int] = []
    offset = 0
    for line in answer.split("\n"):
        if lead and (_LIST_MARK.match(line) or line.lstrip().startswith("|")):
            numbers[offset] = lead
        elif line.strip():
            lead = cited_numbers(line) if without_markers(line).rstrip().endswith(":") else []
        offset += len(line) + 1
    return numbers


def claimed(sentence: str, cites: bool) -> str:
    """What a sentence claims, without markers, list mark and "Yes,"; empty for a question, a heading, a lead-in …

    `cites` tells whether it rests on a source, by a marker of its own or by one that follows.
    """
    text = without_markers(sentence).strip()
    if _HEADING.match(text):
        return ""
    if bold := _BOLD.fullmatch(text):
        text = bold[1].strip() + bold[2]
        if not find_markers(sentence) and not _STATEMENT_END.search(text):
            return ""
    text = _REPLY.sub("", _LIST_MARK.sub("", text, count=1), count=1).strip()
    if text.endswith("?") or (_SILENCE if cites else _REFUSAL).search(text) or (not cites and _NO_CLAIM.match(text)):
        return ""
    if text.endswith(":") and not any(not quantity.idle for quantity in quantities(text)):
        return ""
    return text if len(set(terms(text))) > 1 or quantities(text) else ""


def sources_by_number(passages: Sequence[Passage]) -> Sources:
    """Each passage as a source of its own, by its number."""
    return {passage.number: source_of([passage]) for passage in passages}


def better_source(sentence: str, cited: Sequence[int], sources: Sources) -> int | None:
    """The number of the source to cite for a sentence (without markers) instead of those it cites: the one that holds
    most of its words of those that bear it out. None where a cited one is right, and where none bears it out."""
    claim = claimed(sentence, bool(cited))
    if not claim:
        return None
    if any(judge(claim, sources[number])[0] != "unsupported" for number in cited if number in sources):
        return None
    supporting = [number for number, source in sources.items() if judge(claim, source)[0] == "supported"]
    return max(supporting, key=lambda number: ClaimMatch(claim, sources[number]).share, default=None)


def judge(sentence: str, source: Source) -> tuple[Verdict, str]:
    """The verdict on one sentence, and the reason when it is not supported."""
    claim = ClaimMatch(sentence, source)
    if wrong := claim.missing_number() or claim.denied():
        return "unsupported", wrong
    if claim.share < _LITTLE:
        return "unsupported", "the page says little of this"
    if doubt := claim.opposed() or claim.missing_name() or claim.misplaced():
        return "partly", doubt
    if claim.share < _ENOUGH:
        return "partly", claim.missing_word()
    return "supported", ""
