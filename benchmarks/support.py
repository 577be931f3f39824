"""The check of claims on answers known to be true, and on the same answers corrupted.

    RAG_EVALS_DIR=… python -m benchmarks.support [--development] [--show KIND]

True answers come from sets with known sources: sentences of XQuAD's paragraphs, as they stand and reworded; its
questions turned into statements; SciFact's claims with their abstracts; the answers of anthropic-docs and FinanceBench.
Each is corrupted by another number, another name, a negation put in or left out, and another source. One half of each
set, drawn by the hash of its text, was used while the check was written (`--development`); the other half is reported.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import statistics
import sys
import time
import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from rag.answering.attribution import Attribution
from rag.answering.verification.claims import check_claims
from rag.answering.verification.numbers import quantities
from rag.text.analysis import sentence_spans
from rag.text.markers import cited_numbers
from rag.types.documents import Passage

COLUMNS = ("true", "number", "name", "negation", "source")
_NAME = re.compile(r"(?<=[a-z,] )(?!I\b)[A-Z][\w'’-]+(?: [A-Z][\w'’-]+)*")
_SPANISH = ("es", "son", "fue", "era", "fueron")
_VERBS = "is|are|was|were|has|had|have|can|could|will|would|may|must|should"
_AUXILIARY = re.compile(rf"\b({_VERBS}|{'|'.join(_SPANISH)})\b(?! not| no\b)")
_NEGATION = re.compile(rf"\b(?:{_VERBS}|did|does|do)( not\b|n['’]t\b)")


@dataclass(frozen=True, slots=True)
class Truth:
    """A true sentence and its sources; `others` are passages that do not bear it out."""

    set: str
    sentence: str
    sources: tuple[str, ...]
    others: tuple[str, ...]
    title: str = ""


def main() -> int:
    """Print the share of sentences flagged (not `supported`), set by set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--development", action="store_true", help="the half that was used to write the check")
    parser.add_argument("--show", metavar="KIND", help="also print the mistakes of one column")
    options = parser.parse_args()
    root = os.environ.get("RAG_EVALS_DIR")
    if not root:
        print("Set RAG_EVALS_DIR to a folder with evaluation sets; nothing was measured.")
        return 0
    flagged: dict[tuple[str, str], list[bool]] = defaultdict(list)
    attributed: dict[tuple[str, str], list[bool]] = defaultdict(list)
    times = []
    for truth in truths(Path(root)):
        if (zlib.crc32(truth.sentence.encode()) % 2 == 0) != options.development:
            continue
        for kind, sentence, sources in variants(truth):
            began = time.perf_counter()
            is_flagged, reason = check(sentence, sources, truth.title)
            times.append((time.perf_counter() - began) * 1000)
            flagged[truth.set, kind].append(is_flagged)
            if kind == options.show and is_flagged == (kind == "true"):
                print(f"{truth.set} | {kind} | {sentence} | {reason}")
            if truth.others and len(truth.sources) == 1:
                for outcome, is_so in attribution(truth, kind, sentence).items():
                    attributed[truth.set, outcome].append(is_so)
    table = Table("set", *(f"{column} (n)" for column in COLUMNS))
    for name in dict.fromkeys(name for name, _ in flagged):
        table.add_row(name, *(_cell(flagged[name, column]) for column in COLUMNS))
    Console(width=120).print("Sentences flagged, %: few of the true ones, many of the others")
    Console(width=120).print(table)
    outcomes = list(dict.fromkeys(outcome for _, outcome in attributed))
    table = Table("set", *outcomes)
    for name in dict.fromkeys(name for name, _ in attributed):
        table.add_row(name, *(_cell(attributed[name, outcome]) for outcome in outcomes))
    Console(width=120).print("Sentences without a marker that get one, %: of six passages, one their source")
    Console(width=120).print(table)
    print(
        f"{statistics.mean(times):.2f} ms a sentence with its source (p95 {statistics.quantiles(times, n=20)[-1]:.2f})"
    )
    return 0


def check(sentence: str, sources: tuple[str, ...], title: str) -> tuple[bool, str]:
    """Whether any part of the sentence is flagged, citing all of these sources, and why."""
    passages = [
        Passage(number, "doc", title, "", None, None, "", 0, len(text), text, 1.0)
        for number, text in enumerate(sources, start=1)
    ]
    marks = "".join(f"[{passage.number}]" for passage in passages)
    claims = check_claims(f"{sentence.rstrip('.')} {marks}.", passages)
    flagged = [claim.reason for claim in claims if claim.verdict != "supported"]
    return bool(flagged), "; ".join(flagged)


def attribution(truth: Truth, kind: str, sentence: str) -> dict[str, bool]:
    """Which marker the sentence gets, where its source is one of six passages, or (kind `source`) is not among them."""
    texts = list(truth.others[:5])
    place = random.Random(truth.sentence).randrange(len(texts) + 1) + 1
    if kind != "source":
        texts.insert(place - 1, truth.sources[0])
    passages = [
        Passage(number, "doc", truth.title, "", None, None, "", 0, len(text), text, 1.0)
        for number, text in enumerate(texts, start=1)
    ]

    async def passed_on() -> str:
        footnotes = Attribution(passages)
        return await footnotes.feed(sentence) + await footnotes.flush()

    numbers = cited_numbers(asyncio.run(passed_on()))
    if kind == "true":
        return {"true: its source": place in numbers, "true: another": bool(set(numbers) - {place})}
    return {"source left out" if kind == "source" else f"other {kind}": bool(numbers)}


def variants(truth: Truth) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(kind, sentence, sources): the true sentence, and what can be made of it."""
    if truth.set.endswith("(false)"):
        yield "negation", truth.sentence, truth.sources
        return
    chance = random.Random(truth.sentence)
    yield "true", truth.sentence, truth.sources
    for kind, corrupt in (("number", other_number), ("name", other_name), ("negation", other_polarity)):
        if wrong := corrupt(truth, chance):
            yield kind, wrong, truth.sources
    if truth.others:
        yield "source", truth.sentence, (chance.choice(truth.others),)


def other_number(truth: Truth, chance: random.Random) -> str:
    """Half of the time another number of the same source, else one that is a little off."""
    found = [quantity for quantity in quantities(truth.sentence) if not quantity.idle]
    if not found:
        return ""
    chosen = chance.choice(found)
    old = truth.sentence[chosen.start : chosen.end]
    text = " ".join(truth.sources)
    here = {text[q.start : q.end].strip() for q in quantities(text) if not q.idle and not q.equals(chosen)} - {old}
    here = {number for number in here if number not in truth.sentence and number[:1].isdigit() == old[:1].isdigit()}
    if here and chance.random() < 0.5:
        new = chance.choice(sorted(here))
    elif digits := [place for place, char in enumerate(old) if char.isdigit()]:
        place = chance.choice(digits)
        new = old[:place] + chance.choice([d for d in "123456789" if d != old[place]]) + old[place + 1 :]
    else:
        new = chance.choice([word for word in ("three", "four", "seven", "nine", "eleven") if word != old.lower()])
    return truth.sentence[: chosen.start] + new + truth.sentence[chosen.end :]


def other_name(truth: Truth, chance: random.Random) -> str:
    """A name inside the sentence replaced: half of the time by one of the same source, else by one from elsewhere."""
    names = list(_NAME.finditer(truth.sentence))
    pool = truth.sources if chance.random() < 0.5 else truth.others
    others = {name for text in pool for name in _NAME.findall(text)}
    others = {
        name
        for name in others
        if name not in truth.sentence and not any(name in found[0] or found[0] in name for found in names)
    }
    if not names or not others:
        return ""
    chosen = chance.choice(names)
    return truth.sentence[: chosen.start()] + chance.choice(sorted(others)) + truth.sentence[chosen.end() :]


def other_polarity(truth: Truth, chance: random.Random) -> str:
    """A negation left out, or put in behind an auxiliary verb."""
    if match := _NEGATION.search(truth.sentence):
        return truth.sentence[: match.start(1)] + truth.sentence[match.end(1) :]
    found = list(_AUXILIARY.finditer(truth.sentence))
    if not found:
        return ""
    match = chance.choice(found)
    if match[1] in _SPANISH:
        return f"{truth.sentence[: match.start()]}no {truth.sentence[match.start() :]}"
    return f"{truth.sentence[: match.end()]} not{truth.sentence[match.end() :]}"


def truths(root: Path) -> Iterator[Truth]:
    """Every true sentence of the sets that are there."""
    for language in ("en", "es"):
        if (root / "xquad" / language).is_dir():
            yield from xquad(root / "xquad" / language, f"xquad/{language}")
    if (root / "scifact-dev/evidence_train.jsonl").is_file():
        yield from scifact(root / "scifact-dev")
    if (root / "anthropic-docs").is_dir():
        yield from anthropic(root / "anthropic-docs")
    if (root / "financebench-dev").is_dir():
        yield from financebench(root / "financebench-dev")


def xquad(folder: Path, name: str) -> Iterator[Truth]:
    """Sentences that hold an answer, as they stand and reworded, and questions turned into statements."""
    corpus = {item["_id"]: item for item in read_lines(folder / "corpus.jsonl")}
    by_article = defaultdict(list)
    for item in corpus.values():
        by_article[item["title"]].append(item["text"])
    relevance = dict(
        line.split("\t")[:2] for line in next((folder / "qrels").glob("*.tsv")).read_text().splitlines()[1:]
    )
    seen = set()
    for question in read_lines(folder / "queries.jsonl"):
        source = corpus[relevance[question["_id"]]]
        others = tuple(text for text in by_article[source["title"]] if text != source["text"])
        known = ((source["text"],), others, source["title"].replace("_", " "))
        answer, place = question["metadata"]["answers"][0]
        start, end = next(((a, b) for a, b in sentence_spans(source["text"]) if a <= place < b), (0, 0))
        sentence = source["text"][start:end]
        if sentence and sentence not in seen:
            seen.add(sentence)
            yield Truth(
                f"{name}, word for word", sentence, (source["text"],), others, source["title"].replace("_", " ")
            )
            if name == "xquad/en" and (other := reworded(sentence)):
                yield Truth(f"{name}, reworded", other, *known)
        if name == "xquad/en" and (statement := stated_answer(question["text"], answer)):
            yield Truth(
                f"{name}, question as statement",
                statement,
                (source["text"],),
                others,
                source["title"].replace("_", " "),
            )


def reworded(sentence: str) -> str:
    """The sentence without a parenthesis or clause, or with its clauses in another order, and a pronoun for "the"."""
    text = re.sub(r"\s*\([^)]*\)", "", sentence.rstrip("."))
    clauses = text.split(", ")
    if len(clauses) == 2 and len(clauses[1].split()) > 3:
        first, second = clauses
        if first.split()[0] in ("The", "In", "It", "A", "This"):
            first = first[0].lower() + first[1:]
        text = f"{second[0].upper()}{second[1:]}, {first}"
    elif len(clauses) > 2:
        text = ", ".join([*clauses[:1], *clauses[2:]])
    text = re.sub(r"\b[Tt]he (?=[a-z])", "its ", text, count=1)
    return f"{text}." if text + "." != sentence else ""


def stated_answer(question: str, answer: str) -> str:
    """`Who led X?` and `Y` as `Y led X.`; empty for questions that this cannot be done to."""
    text = question.strip().rstrip("?").strip()
    if match := re.fullmatch(r"Who (?!is |was |are |were |did |does |do |else )(.+)", text):
        return f"{answer} {match[1]}."
    if match := re.fullmatch(r"(?:What|Who) (is|was|were|are) (the (?:(?! called| named).)+)", text):
        return f"{match[2][0].upper()}{match[2][1:]} {match[1]} {answer}."
    if match := re.fullmatch(r"How (?:many|much) ((?:\w+ )+)(?:did|does|do) (.+)", text):
        return f"{match[2][0].upper()}{match[2][1:]} {answer} {match[1].strip()}."
    if match := re.fullmatch(r"(?:When|In (?:what|which) year) did (.+)", text):
        return f"{match[1][0].upper()}{match[1][1:]} in {answer}."
    return ""


def scifact(folder: Path) -> Iterator[Truth]:
    """Claims that an abstract supports, and those that it contradicts."""
    corpus = {item["_id"]: item for item in read_lines(folder / "corpus.jsonl")}
    claims = {item["_id"]: item["text"] for item in read_lines(folder / "queries.jsonl")}
    evidence = {(line["id"], line["doc_id"], line["label"]) for line in read_lines(folder / "evidence_train.jsonl")}
    texts = {key: f"{item['title']}\n{item['text']}" for key, item in corpus.items()}
    some = [texts[document] for _, document, _ in sorted(evidence)]
    for claim, document, label in sorted(evidence):
        name = "scifact, supported" if label == "SUPPORT" else "scifact, contradicted (false)"
        yield Truth(
            name, claims[claim], (texts[document],), tuple(text for text in some[:200] if text != texts[document])
        )


def anthropic(folder: Path) -> Iterator[Truth]:
    """The sentences of the reference answers, which paraphrase and combine."""
    chunks = {item["chunk_link"]: item["text"] for item in json.loads((folder / "anthropic_docs.json").read_text())}
    for item in json.loads((folder / "docs_evaluation_dataset.json").read_text()):
        sources = tuple(chunks[link] for link in item["correct_chunks"] if link in chunks)
        others = tuple(text for text in chunks.values() if text not in sources)
        for start, end in sentence_spans(item["correct_answer"]):
            if sources:
                yield Truth("anthropic-docs, answers", item["correct_answer"][start:end], sources, others)


def financebench(folder: Path) -> Iterator[Truth]:
    """Answers with the evidence text; those with a computed number apart, for such a number is always flagged."""
    items = read_lines(folder / "questions.jsonl")
    for item in items:
        sources = tuple(evidence["text"] for evidence in item["evidence"])
        others = tuple(other["evidence"][0]["text"] for other in items if other["doc_name"] != item["doc_name"])
        stands = {quantity.values[0] for quantity in quantities(" ".join(sources))}
        computed = any(
            q.values[0] not in stands and q.values[0] / q.step not in stands for q in quantities(item["answer"])
        )
        name = "financebench, computed (false)" if computed else "financebench, looked up"
        answer = re.sub(r"^(Yes|No)[,.] ", "", item["answer"])
        if re.fullmatch(r"[-$~]*[\d.,]+%?", answer):
            answer = f"{item['company']}: {answer}"
        yield Truth(name, answer, sources, others, f"{item['company']} {item['doc_name'].replace('_', ' ')}")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON-lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _cell(flags: list[bool]) -> str:
    return f"{100 * statistics.mean(flags):.1f} ({len(flags)})" if flags else "–"


if __name__ == "__main__":
    sys.exit(main())
