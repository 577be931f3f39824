"""A server of embeddings and rankings on a free loopback port, with the replies and refusals of the real ones."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from rag.models.embedding import BagOfWordsEmbedding, open_embedding
from rag.settings import EmbeddingSettings
from tests.rag.models.model_server import free_port

if TYPE_CHECKING:
    from rag.types.documents import Vector

MODEL = "test-embedding"
_WORD = re.compile(r"\S+")
_BAG_OF_WORDS = BagOfWordsEmbedding(EmbeddingSettings(model="bag-of-words"))
DIMENSION = _BAG_OF_WORDS.dimension
_ROTATION = np.linalg.qr(np.random.default_rng(0).standard_normal((DIMENSION, DIMENSION)))[0].astype(np.float32)
Answer = Callable[["EmbeddingServer", dict[str, Any]], Response]


def vectors_of(texts: Sequence[str]) -> Vector:
    """The test's model: words are counted, and the vectors turned so that something stands in every dimension."""
    turned: Vector = _BAG_OF_WORDS.embed_passages(texts) @ _ROTATION
    return turned


class EmbeddingServer:
    """What it answers, and what it saw: `requests` are bodies of requests for vectors or scores, with their paths.

    `refuse` may answer in the place of the vectors; `noise` and `turn` change them, as another machine and another
    model do. `facts` are replies to GET, `posts` to further POST, by path."""

    def __init__(self) -> None:
        self.port = free_port()
        self.requests: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.refuse: Callable[[dict[str, Any]], Response | None] = lambda body: None
        self.failures: list[Response] = []  # given one after the other, before anything else
        self.facts: dict[str, Any] = {"v1/models": {"object": "list", "data": [{"id": MODEL, "object": "model"}]}}
        self.posts: dict[str, Callable[[dict[str, Any]], Response]] = {}
        self.paths_of_embeddings = {"v1/embeddings"}
        self.takes_base64 = True
        self.noise = 0.0
        self.turn = 0  # places that each vector is turned by
        self.largest_overlap = 0  # requests at once
        self._at_once = 0
        self._lock = threading.Lock()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.post("/{path:path}")
        def post(path: str, request: Request, body: dict[str, Any]) -> Response:
            with self._lock:
                self._at_once += 1
                self.largest_overlap = max(self.largest_overlap, self._at_once)
            try:
                return self._answer(path, request, body)
            finally:
                with self._lock:
                    self._at_once -= 1

        @app.get("/{path:path}")
        def get(path: str) -> Response:
            return JSONResponse(self.facts[path]) if path in self.facts else JSONResponse({"detail": "Not Found"}, 404)

        return app

    def _answer(self, path: str, request: Request, body: dict[str, Any]) -> Response:
        if path in self.posts:
            return self.posts[path](body)
        if path not in self.paths_of_embeddings:
            return JSONResponse({"detail": "Not Found"}, 404)
        self.requests.append(body)
        self.paths.append(f"{path}?{request.url.query}" if request.url.query else path)
        self.headers.append(dict(request.headers))
        if self.failures:
            return self.failures.pop(0)
        return self.refuse(body) or JSONResponse(self.reply(body))

    def reply(self, body: dict[str, Any]) -> dict[str, Any]:
        """The vectors in OpenAI's words, in an order of the server's own."""
        vectors = np.roll(vectors_of(body["input"]), self.turn, axis=1)[:, : body.get("dimensions")]
        vectors += self.noise * np.random.default_rng().standard_normal(vectors.shape).astype(np.float32)
        is_text = self.takes_base64 and body.get("encoding_format") == "base64"
        data = [
            {
                "object": "embedding",
                "index": index,
                "embedding": base64.b64encode(vector.tobytes()).decode() if is_text else vector.tolist(),
            }
            for index, vector in enumerate(vectors)
        ]
        return {"object": "list", "data": data[::-1], "model": body["model"], "usage": {"total_tokens": 1}}

    @property
    def inputs(self) -> list[str]:
        """All texts that came."""
        return [text for body in self.requests for text in body["input"]]


@contextmanager
def running(server: EmbeddingServer) -> Iterator[EmbeddingServer]:
    """Serves until the block ends."""
    config = uvicorn.Config(server.app(), port=server.port, log_level="critical", lifespan="off", ws="none")
    instance = uvicorn.Server(config)
    thread = threading.Thread(target=instance.run)
    thread.start()
    try:
        while not instance.started:
            threading.Event().wait(0.01)
        yield server
    finally:
        instance.should_exit = instance.force_exit = True
        thread.join()


def settings_of(server: EmbeddingServer, **embedding: Any) -> EmbeddingSettings:
    return EmbeddingSettings(**{"provider": "openai", "base_url": server.base_url, "model": MODEL, **embedding})


def open_at(server: EmbeddingServer, **embedding: Any) -> Any:
    """The model of that server, with further settings."""
    return open_embedding(settings_of(server, **embedding))


def words(text: str) -> int:
    """Tokens of the test's model: its words, and two special ones."""
    return len(_WORD.findall(text)) + 2


# ---------------------------------------------------------------------------------- servers as they are, in their words


def as_tei(server: EmbeddingServer, most_texts: int = 4, most_tokens: int = 64) -> None:
    """Text Embeddings Inference, not asked to cut texts."""
    server.facts = {"info": {"model_id": MODEL, "max_input_length": most_tokens, "max_client_batch_size": most_texts}}

    def refuse(body: dict[str, Any]) -> Response | None:
        texts = body["input"]
        if len(texts) > most_texts:
            message = f"batch size {len(texts)} > maximum allowed batch size {most_texts}"
            return JSONResponse({"message": message, "code": 422, "type": "Validation"}, 422)
        longest = max(map(words, texts))
        if longest > most_tokens:
            message = f"Input validation error: `inputs` must have less than {most_tokens} tokens. Given: {longest}"
            return JSONResponse({"message": message, "code": 413, "type": "Validation"}, 413)
        return None

    server.refuse = refuse
    server.posts["tokenize"] = lambda body: JSONResponse(
        [[{"id": 1, "text": m[0], "special": False, "start": m.start()} for m in _WORD.finditer(body["inputs"])]]
    )


def as_vllm(server: EmbeddingServer, most_tokens: int = 64) -> None:
    server.facts = {"v1/models": {"object": "list", "data": [{"id": MODEL, "max_model_len": most_tokens}]}}

    def refuse(body: dict[str, Any]) -> Response | None:
        if body["model"] != MODEL:
            message = f"The model `{body['model']}` does not exist."
            return JSONResponse({"error": {"message": message, "type": "NotFoundError", "code": 404}}, 404)
        longest = max(map(words, body["input"]))
        if longest > most_tokens:
            message = (
                f"This model's maximum context length is {most_tokens} tokens. However, you requested {longest} tokens "
                "in the input for embedding generation. Please reduce the length of the input."
            )
            return JSONResponse({"error": {"message": message, "type": "BadRequestError", "code": 400}}, 400)
        return None

    server.refuse = refuse
    server.posts["tokenize"] = lambda body: JSONResponse(
        {"count": words(body["prompt"]) - 2, "max_model_len": most_tokens, "tokens": [1] * (words(body["prompt"]) - 2)}
    )


def as_llama_server(server: EmbeddingServer, most_tokens: int = 64) -> None:
    server.facts = {
        "v1/models": {"object": "list", "data": [{"id": MODEL, "meta": {"n_ctx_train": 512}}]},
        "props": {"default_generation_settings": {"n_ctx": 512}},
    }

    def refuse(body: dict[str, Any]) -> Response | None:
        longest = max(map(words, body["input"]))
        if longest > most_tokens:
            message = (
                f"input ({longest} tokens) is too large to process. increase the physical batch size (current batch "
                f"size: {most_tokens})"
            )
            return JSONResponse({"error": {"code": 500, "message": message, "type": "server_error"}}, 500)
        return None

    server.refuse = refuse
    server.posts["tokenize"] = lambda body: JSONResponse({"tokens": [1] * (words(body["content"]) - 2)})


def as_ollama(server: EmbeddingServer) -> None:
    """Cuts what is too long without a word, and gives numbers, whatever it is asked for."""
    server.takes_base64 = False
    server.facts = {"v1/models": {"object": "list", "data": [{"id": f"{MODEL}:latest", "owned_by": "library"}]}}


def as_openai(server: EmbeddingServer, most_tokens_a_request: int = 300) -> None:
    def refuse(body: dict[str, Any]) -> Response | None:
        longest, total = max(map(words, body["input"])), sum(map(words, body["input"]))
        if longest > 100:
            message = (
                f"This model's maximum context length is 100 tokens, however you requested {longest} tokens ({longest} "
                "in your prompt; 0 for the completion). Please reduce your prompt; or completion length."
            )
            return JSONResponse({"error": {"message": message, "type": "invalid_request_error", "code": None}}, 400)
        if total > most_tokens_a_request:
            message = f"Requested {total} tokens, max {most_tokens_a_request} tokens per request"
            return JSONResponse({"error": {"message": message, "type": "max_tokens_per_request"}}, 400)
        return None

    server.refuse = refuse
