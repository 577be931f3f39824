"""A small OpenAI-compatible server, so that a test decides what the model says, how fast, and sees who hangs up."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODEL = "test-model"
OTHER_MODEL = "other-model"
SLOW_WORDS = 600


class ModelServer(ThreadingHTTPServer):
    """Answers with `reply`, in the name of the other model with `other_reply`; a question with the word "slowly" gets
    one word every 50 ms, and one with the word "abruptly" no end. `hung_up` is set when a client leaves in the middle
    of an answer; while `broken`, every question gets a 503. `prompts` are what was asked, as whole texts."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.reply = "The documents say so [1]."
        self.other_reply = "The handbook says more [1]."
        self.pause = 0.0  # seconds before every answer
        self.prompts: list[str] = []
        self.rewritten = "Whom do I tell that I am ill?"
        self.broken = False
        self.hung_up = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves is no error here."""


class _Handler(BaseHTTPRequestHandler):
    server: ModelServer

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def do_GET(self) -> None:
        models = [{"id": name, "object": "model", "max_model_len": 8192} for name in (MODEL, OTHER_MODEL)]
        self._json(200, {"object": "list", "data": models})

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.server.broken:
            self._json(503, {"error": {"message": "out of order", "type": "server_error"}})
            return
        prompt = request["messages"][-1]["content"]
        self.server.prompts.append("\n\n".join(f"{turn['role']}: {turn['content']}" for turn in request["messages"]))
        time.sleep(self.server.pause)
        if "Rewritten question:" in prompt:
            words = self.server.rewritten.split()
        elif "slowly" in prompt:
            words = [f"slow{number}" for number in range(SLOW_WORDS)]  # the same word would be a loop
        else:
            words = (self.server.other_reply if request["model"] == OTHER_MODEL else self.server.reply).split()
        if request.get("stream"):
            self._stream(words, pause=0.05 if "slowly" in prompt else 0.0, is_whole="abruptly" not in prompt)
        else:
            message = {"role": "assistant", "content": " ".join(words)}
            self._json(200, _chunk("chat.completion", {"message": message, "finish_reason": "stop"}))

    def _stream(self, words: list[str], pause: float, is_whole: bool) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        try:
            for number, word in enumerate(words):
                delta = {"role": "assistant", "content": word if number == 0 else f" {word}"}
                self._event(_chunk("chat.completion.chunk", {"delta": delta, "finish_reason": None}))
                time.sleep(pause)
            if not is_whole:
                self.connection.close()
                return
            self._event(_chunk("chat.completion.chunk", {"delta": {}, "finish_reason": "stop"}))
            self.wfile.write(b"data: [DONE]\n\n")
        except OSError:
            self.server.hung_up.set()

    def _event(self, value: object) -> None:
        self.wfile.write(f"data: {json.dumps(value)}\n\n".encode())
        self.wfile.flush()

    def _json(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _chunk(kind: str, choice: dict[str, object]) -> dict[str, object]:
    return {"id": "1", "object": kind, "created": 1, "model": MODEL, "choices": [{"index": 0, **choice}]}
