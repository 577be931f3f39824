"""`POST /v1/embeddings`: the embedding model that the index is made with, for whoever wants vectors of their own."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Literal

import numpy as np
from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from rag.api.dependencies import AppServices
from rag.api.json_body import JsonRoute
from rag.errors import InvalidRequest, NotFound
from rag.text.tokenizers import token_spans
from rag.types.models import Embedding

router = APIRouter(route_class=JsonRoute)

MOST_TEXTS = 2048  # in a request, as with OpenAI
_THREAD = ThreadPoolExecutor(1, "embeddings")  # questions need the other threads
_SPECIAL_TOKENS = 2  # that the model reads around every text


class EmbeddingRequest(BaseModel):
    """A text, or several."""

    model: str
    input: str | Annotated[list[str], Field(min_length=1, max_length=MOST_TEXTS)]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None


@router.post("/v1/embeddings")
async def create_embeddings(body: EmbeddingRequest, services: AppServices) -> Response:
    """Unit vectors of the texts; a text longer than the model reads is cut."""
    embedding = services.index.embedding
    texts = [body.input] if isinstance(body.input, str) else body.input
    vectors, tokens = await embed(embedding, body.model, texts, body.dimensions)
    is_text = body.encoding_format == "base64"
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": base64.b64encode(vector.tobytes()).decode() if is_text else vector.tolist(),
        }
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return JSONResponse({"object": "list", "model": embedding.name, "data": data, "usage": usage})


async def embed(
    embedding: Embedding, model: str, texts: Sequence[str], dimensions: int | None = None
) -> tuple[np.ndarray, int]:
    """The vectors of the texts, a row each, by the embedding model, which may be named without its maker; and how many
    tokens it read. Raises NotFound, InvalidRequest."""
    if model not in (embedding.name, embedding.name.rpartition("/")[2]):
        raise NotFound(f"There is no embedding model {model!r}.", hint=f"There is {embedding.name}.")
    if dimensions not in (None, embedding.dimension):
        raise InvalidRequest(f"{embedding.name} has {embedding.dimension} dimensions.", param="dimensions")
    if not all(texts):
        raise InvalidRequest("An empty text has no vector.", param="input")
    return await asyncio.get_running_loop().run_in_executor(_THREAD, _embed, embedding, texts)


def _embed(embedding: Embedding, texts: Sequence[str]) -> tuple[np.ndarray, int]:
    spans = token_spans(embedding.tokenizer)
    tokens = sum(min(len(spans(text)) + _SPECIAL_TOKENS, embedding.max_tokens) for text in texts)
    return embedding.embed_passages(texts), tokens
