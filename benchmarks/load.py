"""Many clients at once, mixed over the routes of the API: what fails, how long each route takes, and what it costs.

    python -m benchmarks.load [--clients 200] [--seconds 60]
    python -m benchmarks.load --clients 50 --pause 10 --seconds 3600

A real `python app.py` over data/sample answers with the scripted model; each client asks again as soon as it has its
answer, so the machine is full all the time, or after a pause, as people do. Beside it the same routes one after the
other, on the idle server: a route's time under load divided by that one is what the others cost it. What a server
loses over an hour shows in memory, threads and open files, and in the last third's times beside the first one's.
Clients and server share the machine's cores.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import aiohttp
from rich.console import Console
from rich.table import Table

from benchmarks.serving import ROOT, free_port, processor_seconds, resident_mb, running

QUICK_MS, GROWTH = 50, 1.2  # the targets: p99 of the models' list, what is held at the end by that after a third
ALONE = 20  # requests a route, one after the other
QUESTION = "When is payday?"
CHAT = {"model": "footnote/default", "messages": [{"role": "user", "content": QUESTION}]}


@asynccontextmanager
async def _document(client: aiohttp.ClientSession, number: int) -> AsyncIterator[aiohttp.ClientResponse]:
    """A document's whole life: uploaded, taken into a vector store, searchable, deleted with its file."""
    form = aiohttp.FormData()
    form.add_field("purpose", "assistants")
    form.add_field("file", f"Memo {number} of {time.time_ns()}: the canteen is closed.".encode(), filename="memo.txt")
    async with client.post("/v1/files", data=form) as uploaded:
        file = (await uploaded.json())["id"]
    async with client.post("/v1/vector_stores/default/files", json={"file_id": file}) as attached:
        state = (await attached.json())["status"]
    while state == "in_progress":
        await asyncio.sleep(0.2)
        async with client.get(f"/v1/vector_stores/default/files/{file}") as shown:
            state = (await shown.json())["status"]
    if state != "completed":
        raise aiohttp.ClientError(state)
    async with client.delete(f"/v1/files/{file}") as deleted:
        yield deleted


Ask = Callable[[aiohttp.ClientSession, int], AbstractAsyncContextManager[aiohttp.ClientResponse]]
ROUTES: dict[str, Ask] = {
    "models": lambda client, _: client.get("/v1/models"),
    "vector stores": lambda client, _: client.get("/v1/vector_stores"),
    "no such route": lambda client, _: client.get("/v1/nothing"),
    "file": lambda client, number: client.post("/v1/files", data=_upload(number)),
    "search": lambda client, _: client.post("/v1/vector_stores/default/search", json={"query": QUESTION}),
    "embedding": lambda client, _: client.post("/v1/embeddings", json={"model": "all-MiniLM-L6-v2", "input": QUESTION}),
    "chat": lambda client, _: client.post("/v1/chat/completions", json=CHAT),
    "chat, streamed": lambda client, _: client.post("/v1/chat/completions", json={**CHAT, "stream": True}),
    "response": lambda client, _: client.post("/v1/responses", json={"model": CHAT["model"], "input": QUESTION}),
    "document": _document,
}
EXPECTED = {"no such route": 404}


class Measured:
    """Milliseconds of each route's requests, and how often each status, or failure, came."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = defaultdict(list)  # in the order of the answers
        self.unexpected: Counter[str] = Counter()

    async def ask(self, client: aiohttp.ClientSession, route: str, number: int) -> None:
        """Send one request and read its answer to the end."""
        began = time.perf_counter()
        try:
            async with ROUTES[route](client, number) as response:
                await response.read()
                if response.status not in (EXPECTED.get(route, 200), 429):
                    self.unexpected[f"{route}: {response.status}"] += 1
        except (aiohttp.ClientError, TimeoutError) as error:
            self.unexpected[f"{route}: {type(error).__name__}"] += 1
        self.times[route].append((time.perf_counter() - began) * 1000)

    @property
    def count(self) -> int:
        """How many requests there were."""
        return sum(map(len, self.times.values()))


class Held(NamedTuple):
    """What a process holds at a moment, as Linux tells."""

    megabytes: float
    threads: int
    files: int
    children: int

    @classmethod
    def by(cls, process: int) -> Held:
        """What `process` holds now."""
        entry = Path(f"/proc/{process}")
        command = ["ps", "-o", "pid=", "--ppid", str(process)]
        children = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
        threads, files = (len(list((entry / name).iterdir())) for name in ("task", "fd"))
        return cls(resident_mb(process), threads, files, len(children))


def main() -> int:
    """Measure, print the table, and exit with 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--pause", type=float, default=0, help="mean seconds between two requests of a client")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        environment = {
            "RAG_STORAGE__DIR": folder,
            "RAG_SERVER__PORT": str(port),
            "RAG_LLM__PROVIDER": "scripted",
            "RAG_LLM__SCRIPT": "Payday is the last working day [1].",
            "RAG_EMBEDDING__DEVICE": "cpu",
        }
        command = [sys.executable, str(ROOT / "app.py"), str(ROOT / "data" / "sample")]
        with running(command, environment, f"{port}/readyz") as process:
            return asyncio.run(measure(f"http://127.0.0.1:{port}", process.pid, options))


async def measure(url: str, process: int, options: argparse.Namespace) -> int:
    """Ask one after the other, then all at once; 0 where all targets are met."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(url, connector=connector, timeout=aiohttp.ClientTimeout(total=120)) as client:
        await one_by_one(client)  # warm up
        alone = await one_by_one(client)
        began, spent = time.perf_counter(), processor_seconds(process)
        end = began + options.seconds
        held: list[Held] = []
        loaded = Measured()
        visits = (visit(client, loaded, number, end, options.pause) for number in range(options.clients))
        await asyncio.gather(watch(process, held, end), *visits)
    took = time.perf_counter() - began
    spent = processor_seconds(process) - spent
    table = Table(
        "route", "alone p50", f"{options.clients} clients p50", "p99", "p50 by alone", "first third's p99", "last"
    )
    for route, times in loaded.times.items():
        median, before, third = statistics.median(times), statistics.median(alone.times[route]), len(times) // 3
        thirds = (f"{p99(times[:third]):.0f} ms", f"{p99(times[-third:]):.0f} ms") if third > 1 else ("", "")
        shown = f"{before:.0f} ms", f"{median:.0f} ms", f"{p99(times):.0f} ms", f"{median / before:.1f}"
        table.add_row(route, *shown, *thirds)
    console = Console()
    console.print(table)
    holding = Table("held", "at first", "after a third", "at the end", "at most")
    for name, values in zip(Held._fields, zip(*held, strict=True), strict=True):
        holding.add_row(
            name, *(f"{value:.0f}" for value in (values[0], values[len(values) // 3], values[-1], max(values)))
        )
    console.print(holding)
    growth = held[-1].megabytes / held[len(held) // 3].megabytes
    quick = p99(loaded.times["models"])
    console.print(
        f"{loaded.count} requests, {loaded.count / took:.1f} a second, "
        f"{spent / loaded.count * 1000:.0f} ms of a processor each; "
        f"memory at the end {growth:.2f} of that after a third (target {GROWTH}); "
        f"models p99 {quick:.0f} ms (target {QUICK_MS}); unexpected: {dict(loaded.unexpected) or 'nothing'}"
    )
    return int(bool(loaded.unexpected) or quick > QUICK_MS or growth > GROWTH)


async def one_by_one(client: aiohttp.ClientSession) -> Measured:
    """Every route a few times, with nobody else there."""
    measured = Measured()
    for route in ROUTES:
        for number in range(ALONE):
            await measured.ask(client, route, number)
    return measured


async def visit(client: aiohttp.ClientSession, measured: Measured, number: int, end: float, pause: float) -> None:
    """One client, which asks for one thing after the other until the end."""
    choice = random.Random(number)
    while time.perf_counter() < end:
        if pause:
            await asyncio.sleep(choice.expovariate(1 / pause))
        await measured.ask(client, choice.choice(list(ROUTES)), number)


async def watch(process: int, held: list[Held], end: float) -> None:
    """Note what a process holds every second."""
    while time.perf_counter() < end:
        held.append(await asyncio.to_thread(Held.by, process))
        await asyncio.sleep(1)


def p99(times: list[float]) -> float:
    """What one of a hundred is above."""
    return statistics.quantiles(times, n=100)[-1]


def _upload(number: int) -> aiohttp.FormData:
    form = aiohttp.FormData()
    form.add_field("purpose", "assistants")
    form.add_field("file", b"text %d" % number, filename=f"{number}.txt")
    return form


if __name__ == "__main__":
    sys.exit(main())
