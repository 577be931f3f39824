"""Images in a conversation: shown to a model that sees them, and left out for one that does not.

Only images that are in the message itself are shown: nothing is fetched from an address. No image ends a conversation.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from rag.models.vision import sees_images
from rag.types.documents import Message
from rag.types.models import LanguageModel

_IN_MESSAGE = re.compile(r"data:image/[\w.+*-]+;base64,[A-Za-z0-9+/]+=*")
_MOST_SHOWN = 16  # the latest


async def shown_to(model: LanguageModel, messages: Sequence[Message]) -> list[Message]:
    """The messages with the images that the model is shown. Raises BackendUnavailable."""
    if not any(message.images for message in messages):
        return [*messages]
    if not await sees_images(model):
        return without_images(messages)
    left = _MOST_SHOWN
    shown: list[Message] = []
    for message in reversed(messages):
        usable = [image for image in message.images if message.role == "user" and _IN_MESSAGE.fullmatch(image)]
        images = tuple(usable[len(usable) - min(left, len(usable)) :])
        left -= len(images)
        shown.insert(0, replace(message, images=images))
    return shown


def without_images(messages: Sequence[Message]) -> list[Message]:
    """The messages as text."""
    return [replace(message, images=()) for message in messages]
