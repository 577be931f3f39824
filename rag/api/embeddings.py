"""`POST /v1/embeddings`: the embedding model that the index is made with, for whoever wants vectors of their own."""

from __future__ import annotations

import asyncio
import base64
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from rag.errors import InvalidRequest, NotFound
from rag.services import Services
from rag.tokens import token_spans

router = APIRouter()

_SPECIAL_TOKENS = 2  # that the model reads around every text


class EmbeddingRequest(BaseModel):
    """A text, or several."""

    model_config = ConfigDict(extra="ignore")

    model: str
    input: str | Annotated[list[str], Field(min_length=1, max_length=2048)]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None


@router.post("/v1/embeddings")
async def create_embeddings(body: EmbeddingRequest, request: Request) -> dict[str, Any]:
    """Unit vectors of the texts; a text longer than the model reads is cut."""
    services: Services = request.app.state.services
    embedding = services.storage.embedding
    if body.model not in (embedding.name, embedding.name.rpartition("/")[2]):
        raise NotFound(f"There is no embedding model {body.model!r}.", hint=f"There is {embedding.name}.")
    if body.dimensions not in (None, embedding.dimension):
        raise InvalidRequest(f"{embedding.name} has {embedding.dimension} dimensions.", param="dimensions")
    texts = [body.input] if isinstance(body.input, str) else body.input
    if not all(texts):
        raise InvalidRequest("An empty text has no vector.", param="input")
    whole = [text.encode(errors="replace").decode() for text in texts]
    vectors = await asyncio.to_thread(embedding.embed_passages, whole)
    spans = token_spans(embedding.tokenizer)
    counts = await asyncio.to_thread(
        lambda: sum(min(len(spans(text)) + _SPECIAL_TOKENS, embedding.max_tokens) for text in whole)
    )
    is_text = body.encoding_format == "base64"
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": base64.b64encode(vector.tobytes()).decode() if is_text else vector.tolist(),
        }
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": counts, "total_tokens": counts}
    return {"object": "list", "model": embedding.name, "data": data, "usage": usage}
