"""Requests that mean work are limited a few at a time, and nobody who waits for something else keeps a place."""

from __future__ import annotations

import asyncio

import pytest
from fastapi import FastAPI
from starlette.routing import Route

from rag.api.middleware.concurrency import ConcurrencyLimit
from rag.api.route_policy import PUBLIC, UPLOAD
from rag.concurrency import release_slot

BODY = {"type": "http.request", "body": b"{}", "more_body": False}
JSON = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]}
EVENTS = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream; a=b")]}
END = {"type": "http.response.body", "body": b"", "more_body": False}


def routes():
    """An application with a route of each kind; only its routes are looked at."""
    app = FastAPI()
    app.add_api_route("/v1/chat/completions", lambda: None, methods=["POST"])
    app.add_api_route("/v1/models", lambda: None)
    app.add_api_route("/v1/files", lambda: None, methods=["POST"], dependencies=[UPLOAD])
    app.routes.append(Route("/mcp", lambda: None, methods=["POST"]))
    app.mount("/project", FastAPI(dependencies=[PUBLIC]))
    return app


ROUTES = routes()


class Application:
    """Reads the body, notes that the work has begun, and goes on when it is told to."""

    def __init__(self, start=JSON, *, asks_a_model=False, fails=False):
        self.start = start
        self.asks_a_model = asks_a_model
        self.fails = fails
        self.begun = 0
        self.go_on = asyncio.Event()

    async def __call__(self, scope, receive, send):
        if scope["method"] == "POST":
            while (await receive()).get("more_body"):
                pass
        self.begun += 1
        if self.fails:
            raise ValueError("no more")
        if self.asks_a_model:
            release_slot()
        if self.start is EVENTS:
            await send(self.start)
        await self.go_on.wait()
        if self.start is JSON:
            await send(self.start)
        await send(END)


async def ask(limited, *, method="POST", path="/v1/chat/completions", body=None, send=None):
    messages = iter([BODY])

    async def receive():
        return next(messages)

    async def sent(_):
        pass

    scope = {"type": "http", "method": method, "path": path, "app": ROUTES}
    await limited(scope, body or receive, send or sent)


async def begun(tasks):
    for _ in range(20):
        await asyncio.sleep(0)
    return sum(task.done() for task in tasks)


@pytest.fixture
async def send_requests():
    """Starts requests; those that still run at the end are cancelled."""
    tasks = []

    def create(limited, count, **options):
        tasks.extend(asyncio.create_task(ask(limited, **options)) for _ in range(count))
        return tasks

    yield create
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("start", [JSON, EVENTS])
async def test_a_few_are_worked_on_at_a_time_and_all_in_the_end(send_requests, start):
    application = Application(start)
    tasks = send_requests(ConcurrencyLimit(application, max_concurrent=2), 5)
    assert await begun(tasks) == 0
    assert application.begun == 2
    application.go_on.set()
    await asyncio.gather(*tasks)
    assert application.begun == 5


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/models"), ("POST", "/v1/files"), ("POST", "/project/threads"), ("POST", "/mcp")],
)
async def test_what_is_no_work_passes(send_requests, method, path):
    application = Application()
    limited = ConcurrencyLimit(application, max_concurrent=1)
    await begun(send_requests(limited, 2))
    await begun(send_requests(limited, 1, method=method, path=path))
    assert application.begun == 2


async def test_who_waits_for_a_model_lets_the_others_in(send_requests):
    application = Application(EVENTS, asks_a_model=True)
    await begun(send_requests(ConcurrencyLimit(application, max_concurrent=1), 5))
    assert application.begun == 5


async def test_who_sends_slowly_keeps_no_place(send_requests):
    application = Application()
    limited = ConcurrencyLimit(application, max_concurrent=1)
    more = asyncio.Queue()
    slow = send_requests(limited, 1, body=more.get)[0]
    await more.put({"type": "http.request", "body": b"{", "more_body": True})
    await begun([slow])
    await begun(send_requests(limited, 1))
    assert application.begun == 1
    application.go_on.set()
    await more.put(BODY)
    await slow
    assert application.begun == 2


async def test_who_reads_slowly_keeps_no_place(send_requests):
    application = Application()
    application.go_on.set()
    limited = ConcurrencyLimit(application, max_concurrent=1)
    never = asyncio.Event()

    async def stuck(_):
        await never.wait()

    tasks = send_requests(limited, 3, send=stuck)
    assert await begun(tasks) == 0
    assert application.begun == 3


async def test_failures_and_who_leaves_give_their_place_up(send_requests):
    application = Application(fails=True)
    limited = ConcurrencyLimit(application, max_concurrent=1)
    for _ in range(3):
        with pytest.raises(ValueError, match="no more"):
            await ask(limited)
    application.fails = False
    works, waits, *_ = send_requests(limited, 2)
    await begun([works, waits])
    waits.cancel()
    works.cancel()
    await begun([works, waits])
    application.go_on.set()
    await ask(limited)
    assert application.begun == 5
