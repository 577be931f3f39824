"""Whether a model sees images: as its settings say; else it is shown a small one, once."""

from __future__ import annotations

from contextlib import aclosing

from rag.errors import BackendMisconfigured, BackendRejected
from rag.types.documents import Message
from rag.types.models import LanguageModel

# 64 × 64 white pixels: some models that see refuse a single one for its size
_WHITE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAAAAACPAi4CAAAAKUlEQVR42u3MQREAAAwCIPuX1hD77SAA6VEEAoFAIBAI"
    "BAKBQCAQfA8Gpwvw4qrwDDIAAAAASUVORK5CYII="
)
_QUESTION = "Which colour is this?"


async def sees_images(model: LanguageModel) -> bool:
    """Whether images may be sent to the model. What its server says to the first one is remembered. Raises
    BackendUnavailable, and BackendMisconfigured where the server takes nothing else either."""
    if model.llm is None or not model.takes_images:
        return False
    if model.sight.sees is None:
        try:
            options = {"max_tokens": 16, "temperature": 0.0}
            async with aclosing(model.llm.stream([Message("user", _QUESTION, images=(_WHITE,))], options)) as deltas:
                async for delta in deltas:
                    if delta.text or delta.finish_reason:
                        break
            model.sight.sees = True
        except BackendMisconfigured:
            raise
        except BackendRejected:
            model.sight.sees = False
    return model.sight.sees
