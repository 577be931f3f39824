"""The default embedding on a processor beside sentence-transformers in f32: speed, memory and quality, in one run.

    [RAG_EVALS_DIR=…] python -m benchmarks.embedding [FILE …]     default: README.md and the sample's texts
    python -m benchmarks.embedding --server                       what a server loses by being asked by Footnote

The files' texts are cut into chunks as an ingest cuts them; both embed the same chunks, by turns, because machines
drift. With RAG_EVALS_DIR the vectors also rank cranfield and scifact-dev (many minutes, mostly of torch).

`--server`: texts a second of servers of several speeds, asked by Footnote's client and by one that only sends prepared
requests, as many at once, and reads no reply.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.retrieval import read_lines, read_relevance
from ingest.splitting import chunk_spans
from rag.evaluation.metrics import ndcg
from rag.models.embedding import open_embedding
from rag.models.embedding_base import bundled_model
from rag.settings import EmbeddingSettings
from rag.text.tokenizers import token_spans

if TYPE_CHECKING:
    from rag.types.documents import Vector

DEPTH = 10
SAMPLE = ("README.md", "data/sample/faq.html", "data/sample/minutes-2024-03.md", "data/sample/travel-policy-2022.txt")
SETS = ("cranfield", "scifact-dev")
ROUNDS = 5
MOST_CHUNKS = 96
QUESTION = "How long is the warranty on the heating element?"

SERVER_SPEEDS = (500, 2_000, 4_000, 8_000, 0)  # texts a second
SERVER_TEXTS = 4_096
TEXTS_A_REQUEST, REQUESTS_AT_ONCE = 32, 8

FOOTNOTE_STARTS = f"""
from rag.models.embedding import open_embedding
from rag.settings import EmbeddingSettings
open_embedding(EmbeddingSettings(device="cpu")).embed_query("{QUESTION}")
"""
TORCH_STARTS = f"""
from rag.models.embedding_base import bundled_model
from sentence_transformers import SentenceTransformer
SentenceTransformer(str(bundled_model()), device="cpu").encode("{QUESTION}")
"""
REPORT = """
import json, resource, sys
print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)))
"""


def main(paths: Sequence[Path]) -> int:
    """Measure and print one table, and with RAG_EVALS_DIR one more."""
    starts = [start(FOOTNOTE_STARTS), start(TORCH_STARTS)]  # before this process grows: a child begins with its memory
    from sentence_transformers import SentenceTransformer

    console = Console()
    embedding = open_embedding(EmbeddingSettings(device="cpu"))
    torch_model = SentenceTransformer(str(bundled_model()), device="cpu")

    def by_torch(texts: Sequence[str]) -> Vector:
        return torch_model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)

    texts = chunks(paths, embedding.tokenizer, embedding.max_tokens)
    embedders = (embedding.embed_passages, by_torch)
    passages = by_turns([lambda embed=embed: embed(texts) for embed in embedders], ROUNDS)
    questions = by_turns([lambda: embedding.embed_query(QUESTION), lambda: by_torch([QUESTION])], 10 * ROUNDS)
    cosines = (embedding.embed_passages(texts) * by_torch(texts)).sum(axis=1)
    table = Table("", "chunks/s", "question ms", "start to first vector s", "peak memory then MB")
    for name, spent, asked, started in zip(("default", "torch f32"), passages, questions, starts, strict=True):
        speed = f"{len(texts) / statistics.median(spent):.1f}"
        table.add_row(name, speed, f"{statistics.median(asked) * 1000:.1f}", f"{started[0]:.1f}", f"{started[1]:.0f}")
    console.print(f"{len(texts)} chunks; medians of {ROUNDS} rounds")
    console.print(table)
    best = min(passages[1]) / min(passages[0])
    console.print(
        f"{statistics.median(passages[1]) / statistics.median(passages[0]):.2f} × torch (best rounds {best:.2f}); "
        f"cosine mean {cosines.mean():.4f}, worst {cosines.min():.4f}; "
        f"a question during an ingest {during(embedding.embed_query, embedding.embed_passages, texts):.1f} ms."
    )
    root = os.environ.get("RAG_EVALS_DIR")
    if root:
        console.print(ranking_table(Path(root), [(embedding.embed_passages, embedding.embed_query), (by_torch, None)]))
    return 0


def server_table() -> Table:
    """Texts a second of servers, asked by Footnote and by a client that does nothing else, by turns."""
    table = Table("the server's own speed", "prepared requests", "Footnote", "ratio", title="texts a second")
    texts = [f"{number} {QUESTION} " * 12 for number in range(SERVER_TEXTS)]
    for speed in SERVER_SPEEDS:
        with steady_server(speed) as base_url:
            embedding = open_embedding(EmbeddingSettings(provider="openai", base_url=base_url, model="steady"))
            works = [partial(send_prepared, f"{base_url}/embeddings", texts), partial(embedding.embed_passages, texts)]
            bare, ours = (statistics.median(spent) for spent in by_turns(works, ROUNDS))
        rates = [f"{SERVER_TEXTS / seconds:,.0f}" for seconds in (bare, ours)]
        table.add_row(f"{speed:,}" if speed else "as fast as it can", *rates, f"{bare / ours:.3f}")
    return table


@contextmanager
def steady_server(texts_a_second: int) -> Iterator[str]:
    """The base address of a server in a process of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "benchmarks.embedding_server", str(port), str(texts_a_second)]
    with subprocess.Popen(command) as process:
        try:
            base_url = f"http://127.0.0.1:{port}/v1"
            for _ in range(100):
                with suppress(httpx.TransportError):
                    httpx.get(base_url, trust_env=False)
                    break
                time.sleep(0.1)
            yield base_url
        finally:
            process.terminate()


def send_prepared(url: str, texts: Sequence[str]) -> None:
    """Send all texts, several requests at once, and look at nothing of the replies."""
    batches = [texts[start : start + TEXTS_A_REQUEST] for start in range(0, len(texts), TEXTS_A_REQUEST)]
    bodies = [json.dumps({"model": "steady", "input": batch, "encoding_format": "base64"}) for batch in batches]
    headers = {"content-type": "application/json"}
    with httpx.Client(trust_env=False, headers=headers) as client, ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
        for response in pool.map(lambda body: client.post(url, content=body), bodies):
            assert response.status_code == 200


def start(program: str) -> tuple[float, float]:
    """Seconds until a fresh process has its first vector, and its peak memory in MB by then."""
    began = time.perf_counter()
    ran = subprocess.run([sys.executable, "-c", program + REPORT], capture_output=True, text=True, check=True)
    return time.perf_counter() - began, float(json.loads(ran.stdout.splitlines()[-1]))


def chunks(paths: Sequence[Path], tokenizer: str, limit: int) -> list[str]:
    """At most MOST_CHUNKS chunks, spread over the files' texts."""
    spans = token_spans(tokenizer)
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in paths]
    found = [text[start:end] for text in texts for start, end in chunk_spans(text, spans, limit - 2)]
    return found[:: -(-len(found) // MOST_CHUNKS)]


def by_turns(works: Sequence[Callable[[], object]], rounds: int) -> list[list[float]]:
    """Seconds of each work in each round, after one round to warm up."""
    seconds: list[list[float]] = [[] for _ in works]
    for number in range(rounds + 1):
        for work, spent in zip(works, seconds, strict=True):
            began = time.perf_counter()
            work()
            if number:
                spent.append(time.perf_counter() - began)
    return seconds


def during(ask: Callable[[str], object], ingest: Callable[[list[str]], object], texts: list[str]) -> float:
    """Median milliseconds of a question while the texts are embedded."""
    thread = threading.Thread(target=ingest, args=(texts,))
    thread.start()
    asked = []
    while thread.is_alive():
        began = time.perf_counter()
        ask(QUESTION)
        asked.append(time.perf_counter() - began)
        time.sleep(0.02)
    return statistics.median(asked) * 1000


def ranking_table(root: Path, embedders: Sequence[tuple[Callable, Callable | None]]) -> Table:
    """nDCG of the vectors alone, records embedded whole (to the model's limit); by which a question is embedded
    as a passage is where there is no second function."""
    table = Table("set", "default", "torch f32", "difference", title=f"nDCG@{DEPTH}, vectors alone")
    for name in SETS:
        folder = root / name
        relevant = read_relevance(folder)
        records = read_lines(folder / "corpus.jsonl")
        questions = [item for item in read_lines(folder / "queries.jsonl") if item["_id"] in relevant]
        scores = []
        for embed, embed_query in embedders:
            vectors = embed([f"{record['title']}\n{record['text']}" for record in records])
            asked = [item["text"] for item in questions]
            queries = np.stack([embed_query(text) for text in asked]) if embed_query else embed(asked)
            best = np.argsort(-(queries @ vectors.T), axis=1)[:, :DEPTH]
            rankings = ([records[place]["_id"] for place in row] for row in best)
            pairs = zip(rankings, questions, strict=True)
            scores.append(statistics.mean(ndcg(ranking, relevant[item["_id"]]) for ranking, item in pairs))
        table.add_row(name, *(f"{score:.4f}" for score in scores), f"{scores[0] - scores[1]:+.4f}")
    return table


if __name__ == "__main__":
    if sys.argv[1:] == ["--server"]:
        Console().print(server_table())
        sys.exit()
    sys.exit(main([Path(argument) for argument in sys.argv[1:] or SAMPLE]))
