"""What Footnote adds between a model server and its readers: time to the first token, throughput, memory a stream.

    python -m benchmarks.serving [--streams 64] [--rate 25] [--limit 64] [--idle 500] [--profile FILE]

A model server of known speed (benchmarks/steady_server.py) is asked directly, and through a real `python app.py` over
data/sample; each is a process of its own, as is the reader, so all three want a core. `--rate` is the tokens a second
of each stream. `--limit` is how many streams of 100 tokens a second there are where the application's own processor
time is measured. `--profile` runs the application under cProfile while it streams, which makes it slower.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ingest.ingestor import Ingestor
from rag.answering.context import collect_passages
from rag.operations.services import open_index
from rag.retrieval.retriever import HybridRetriever
from rag.settings import Settings
from rag.storage.selection import scope_of

ROOT = Path(__file__).parent.parent
QUESTION = "How many days off do I get if I have been here for seven years?"
QUESTIONS = 40  # one after the other
SECONDS = 15  # of a reply, where throughput is measured
IDLE_INTERVAL = 5  # seconds between two tokens of a stream that is idle
COME_AT_ONCE = 10  # readers of idle streams: the others wait until these have their first token
LIMIT_RATE = 100  # tokens a second of each stream, at the limit
FIRST_TOKEN_MS, THROUGHPUT, TOKEN_MS, IDLE_MB = 15, 0.9, 0.25, 200  # the targets


Row = tuple[str, str, str, str, str, bool]  # as in the table; the last: whether the target is met


@dataclass(frozen=True)
class Stream:
    """One reply as its reader saw it: when it was asked, and when each of its tokens came, in seconds."""

    asked: float
    times: list[float]


def main() -> int:
    """Measure all three, print the table, and exit with 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--rate", type=float, default=25)
    parser.add_argument("--limit", type=int, default=64)
    parser.add_argument("--idle", type=int, default=500)
    parser.add_argument("--profile", default="")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        retrieval = ingest_and_time_retrieval(Path(folder))
        table = Table("what", "direct", "through Footnote", "difference", "target", "")
        met = []
        with model_server() as direct, footnote(Path(folder), direct, options.profile) as (through, process):
            for measure in (
                lambda: first_token(direct, through, retrieval),
                lambda: throughput(direct, through, options.streams, options.rate),
                lambda: limit(direct, through, process, options.limit),
                lambda: memory(direct, through, process, options.idle),
            ):
                *row, is_met = measure()
                table.add_row(*row, "met" if is_met else "missed")
                met.append(is_met)
    Console().print(table)
    return int(not all(met))


# ----------------------------------------------------------------------------------------------------------- measures


def first_token(direct: int, through: int, retrieval: float) -> Row:
    """Milliseconds to the first token, one question after the other; `retrieval` is in seconds."""
    set_pace(direct, tokens=5, interval=0.01)
    medians = []
    for port in (direct, through):
        asyncio.run(read_one_by_one(port, 5))  # warm up
        medians.append(median_wait(asyncio.run(read_one_by_one(port, QUESTIONS))))
    added = (medians[1] - medians[0] - retrieval) * 1000
    return (
        f"first token (retrieval takes {retrieval * 1000:.1f} ms)",
        f"{medians[0] * 1000:.1f} ms",
        f"{medians[1] * 1000:.1f} ms",
        f"{added:.1f} ms without retrieval",
        f"≤ {FIRST_TOKEN_MS} ms",
        added <= FIRST_TOKEN_MS,
    )


def median_wait(streams: list[Stream]) -> float:
    """Seconds from the question to the first token."""
    return statistics.median(stream.times[0] - stream.asked for stream in streams)


def throughput(direct: int, through: int, streams: int, rate: float) -> Row:
    """Tokens a second of many streams at once, while all of them are open."""
    tokens = int(rate * SECONDS)
    set_pace(direct, tokens=tokens, interval=1 / rate)
    speeds = [speed(asyncio.run(read_at_once(port, streams)), tokens) for port in (direct, through)]
    ratio = speeds[1] / speeds[0]
    return (
        f"{streams} streams at once, {rate:g} tokens a second each",
        f"{speeds[0]:.0f} tokens/s",
        f"{speeds[1]:.0f} tokens/s",
        f"{ratio:.2f}",
        f"≥ {THROUGHPUT}",
        ratio >= THROUGHPUT,
    )


def limit(direct: int, through: int, process: int, streams: int) -> Row:
    """Processor time that Footnote itself spends on a token, and on all else of a request, with fast streams."""
    set_pace(direct, tokens=1, interval=0)
    before = processor_seconds(process)
    asyncio.run(read_at_once(through, streams))
    of_requests = processor_seconds(process) - before
    tokens = LIMIT_RATE * SECONDS
    set_pace(direct, tokens=tokens, interval=1 / LIMIT_RATE)
    direct_speed = speed(asyncio.run(read_at_once(direct, streams)), tokens)
    before = processor_seconds(process)
    through_speed = speed(asyncio.run(read_at_once(through, streams)), tokens)
    of_answers = processor_seconds(process) - before
    a_request, a_token = of_requests / streams * 1000, (of_answers - of_requests) / (streams * (tokens - 1)) * 1000
    return (
        f"{streams} streams at once, {LIMIT_RATE} tokens a second each: Footnote's processor",
        f"{direct_speed:.0f} tokens/s",
        f"{through_speed:.0f} tokens/s",
        f"{a_token:.3f} ms a token, {a_request:.1f} ms a request",
        f"≤ {TOKEN_MS} ms a token",
        a_token <= TOKEN_MS,
    )


def speed(streams: list[Stream], tokens: int) -> float:
    """Tokens a second from when the last stream begins until the first one ends."""
    # Footnote passes a marker on apart from its word, and may say something at the end: a reply has more pieces then.
    if any(len(stream.times) < tokens for stream in streams):
        raise RuntimeError(f"not {tokens} tokens came, but {sorted({len(stream.times) for stream in streams})}")
    begin, end = max(stream.times[0] for stream in streams), min(stream.times[-1] for stream in streams)
    came = sum(tokens / len(stream.times) for stream in streams for time in stream.times if begin < time <= end)
    return came / (end - begin)


def memory(direct: int, through: int, process: int, streams: int) -> Row:
    """Memory of Footnote's process while many streams are open in which hardly anything happens."""
    set_pace(direct, tokens=2, interval=0.01)
    asyncio.run(read_at_once(through, 32))  # threads and pools that stay
    before = resident_mb(process)
    set_pace(direct, tokens=10_000, interval=IDLE_INTERVAL)
    during = asyncio.run(memory_while_idle(through, process, streams))
    return (
        f"memory, {streams} idle streams",
        f"{before:.0f} MB with none",
        f"{during:.0f} MB",
        f"{during - before:.0f} MB",
        f"≤ {IDLE_MB} MB",
        during - before <= IDLE_MB,
    )


async def memory_while_idle(port: int, process: int, streams: int) -> float:
    """MB of a process while so many streams are open, each after its first token."""
    readers: list[asyncio.Task[Stream]] = []
    while len(readers) < streams:
        begun = [asyncio.Event() for _ in range(min(COME_AT_ONCE, streams - len(readers)))]
        readers += [asyncio.create_task(read(port, event)) for event in begun]
        waiting = asyncio.gather(*(event.wait() for event in begun))
        await asyncio.wait([waiting, *readers], return_when=asyncio.FIRST_COMPLETED)
        if ended := [reader for reader in readers if reader.done()]:
            raise RuntimeError("a stream ended") from ended[0].exception()
    await asyncio.sleep(2 * IDLE_INTERVAL)
    during = resident_mb(process)
    still_open = sum(not reader.done() for reader in readers)
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    if still_open < streams:
        raise RuntimeError(f"only {still_open} streams of {streams} stayed open")
    return during


def resident_mb(process: int) -> float:
    """Memory that a process holds, in MB."""
    kilobytes = subprocess.run(["ps", "-o", "rss=", "-p", str(process)], capture_output=True, text=True, check=True)
    return int(kilobytes.stdout) / 1024


def processor_seconds(process: int) -> float:
    """Seconds of processors that a process has taken, to a hundredth."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except FileNotFoundError:  # macOS, where `ps` tells as much; Linux' own rounds to seconds
        columns = subprocess.run(["ps", "-o", "time=", "-p", str(process)], capture_output=True, text=True, check=True)
    seconds = 0.0
    for part in columns.stdout.strip().replace("-", ":").split(":"):  # hours:minutes:seconds
        seconds = seconds * 60 + float(part)
    return seconds


def ingest_and_time_retrieval(folder: Path) -> float:
    """Take in the sample documents, and return the median seconds of finding the passages for a question."""
    settings = Settings(_env_file=None, storage={"dir": folder / "storage"}, embedding={"device": "cpu"})
    with open_index(settings) as index:
        with Ingestor(settings, index) as ingestor:
            for report in ingestor.add_paths([ROOT / "data" / "sample"], "default"):
                del report
        retriever = HybridRetriever(index, settings.retrieval)
        return asyncio.run(time_retrieval(retriever, settings.retrieval.max_passages))


async def time_retrieval(retriever: HybridRetriever, passages: int) -> float:
    """Median seconds of what the engine does before it asks the model."""
    scope = scope_of(retriever.index.catalog, "default")
    times = []
    for _ in range(QUESTIONS):
        began = time.perf_counter()
        hits = await retriever.retrieve(QUESTION, scope, passages * 3, snippets=False)
        await asyncio.to_thread(collect_passages, hits, retriever.index.catalog.page_text, passages)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


# ------------------------------------------------------------------------------------------------------------ reading


async def read_one_by_one(port: int, questions: int) -> list[Stream]:
    """Ask and read to the end, so many times."""
    return [await read(port) for _ in range(questions)]


async def read_at_once(port: int, streams: int) -> list[Stream]:
    """Ask so many times at once, and read all to the end."""
    return list(await asyncio.gather(*(read(port) for _ in range(streams))))


async def read(port: int, begun: asyncio.Event | None = None) -> Stream:
    """Ask and read to the end. As little is done with what comes as is possible: the reader shares the cores."""
    body = {
        "model": "footnote/default",
        "messages": [{"role": "user", "content": QUESTION}],
        "stream": True,
        "max_tokens": 1024,
    }
    content = json.dumps(body).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
    stream = Stream(time.perf_counter(), [])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"{head}content-length: {len(content)}\r\nconnection: close\r\n\r\n".encode() + content)
        while line := await reader.readline():
            if line.startswith(b"data: {") and (written := words_in(line)):
                if begun is not None and not stream.times:
                    begun.set()
                stream.times.extend([time.perf_counter()] * written)
            elif not line.startswith((b"data: ", b"\r\n", b"\n")) and b'"error"' in line:
                raise RuntimeError(line.decode())
    finally:
        writer.close()
    return stream


def words_in(line: bytes) -> int:
    """Tokens in a chunk: Footnote may join some."""
    choices = json.loads(line[6:])["choices"]
    text = choices[0]["delta"].get("content") if choices else ""
    return len((text or "").split())


# ---------------------------------------------------------------------------------------------------------- processes


@contextmanager
def model_server() -> Iterator[int]:
    """The port of a server of known speed."""
    port = free_port()
    with running([sys.executable, "-m", "benchmarks.steady_server", str(port)], {}, f"{port}/v1/models"):
        yield port


@contextmanager
def footnote(folder: Path, model_port: int, profile: str) -> Iterator[tuple[int, int]]:
    """Port and process id of a Footnote over the storage in `folder` that asks the model server."""
    port = free_port()
    environment = {
        "RAG_STORAGE__DIR": str(folder / "storage"),
        "RAG_SERVER__PORT": str(port),
        "RAG_LLM__PROVIDER": "openai",
        "RAG_LLM__BASE_URL": f"http://127.0.0.1:{model_port}/v1",
        "RAG_EMBEDDING__DEVICE": "cpu",
    }
    profiler = ["-m", "cProfile", "-o", profile] if profile else []
    with running([sys.executable, *profiler, str(ROOT / "app.py")], environment, f"{port}/healthz") as process:
        yield port, process.pid


@contextmanager
def running(
    command: list[str], environment: Mapping[str, str], until_answers: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A process, from when it answers until the block ends."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAG_")}
    process = subprocess.Popen(
        command, cwd=ROOT, env={**inherited, "PYTHONPATH": str(ROOT), **environment}, stdout=sys.stderr
    )
    try:
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{until_answers}", timeout=2):
                    break
            except OSError:
                if process.poll() is not None:
                    raise RuntimeError(f"it ended: {' '.join(command)}") from None
                time.sleep(0.1)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def set_pace(port: int, *, tokens: int, interval: float) -> None:
    """Tell the server of known speed how long its replies are, and how many seconds lie between two tokens."""
    body = json.dumps({"tokens": tokens, "interval": interval}).encode()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/pace", data=body, timeout=5):
        pass


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
