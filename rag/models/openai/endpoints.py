"""Where and how a model server is asked for a reply: OpenAI's chat completions, or its completions, which take a prompt
as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rag.models.openai.discovery import ServerProbe, probe_server
from rag.models.openai.event_reader import read_chunk

if TYPE_CHECKING:
    import aiohttp

    from rag.models.chat_template import Turn
    from rag.models.prompt_type import PromptType

ReadEvent = Callable[[bytes, str], dict[str, Any]]


class ChatCompletions:
    """OpenAI's `/chat/completions`, the usual one: the server has the model's chat template. Another endpoint is
    derived from it; what it reads is given as chunks of this one."""

    path = "chat/completions"
    calls_functions = True  # or its server says that it does not
    writes_json = True
    takes_images = True
    counts_prompts = True  # of chats

    def probe(self, base_url: str, model: str, api_key: str) -> ServerProbe:
        """What the server says of itself; blocking, seconds at most."""
        return probe_server(base_url, model=model, api_key=api_key)

    def body(self, model: str, turns: Sequence[Turn], fields: Mapping[str, Any]) -> dict[str, Any]:
        """The request. `fields` are those of OpenAI's chat request, and further ones of the server's."""
        return {"model": model, "messages": turns, "stream": True, **fields}

    async def open(
        self, session: aiohttp.ClientSession, base_url: str, body: Mapping[str, Any]
    ) -> aiohttp.ClientResponse:
        """The answer to the request, of which nothing was read yet. Raises aiohttp.ClientError."""
        # Documents go where the user said, and nowhere else.
        return await session.post(f"{base_url}/{self.path}", json=body, allow_redirects=False)

    def reader(self, body: Mapping[str, Any]) -> ReadEvent:
        """What makes chunks of the events of one reply, from their data and name. It raises ServerError for what the
        server reports, NoJson for what is none."""
        return lambda data, _: read_chunk(data)


class Completions(ChatCompletions):
    """OpenAI's older `/completions`, for a server whose model has no chat template: the prompt is written here."""

    path = "completions"
    calls_functions = False
    takes_images = False
    counts_prompts = False

    def __init__(self, prompt_type: PromptType) -> None:
        self._prompt_type = prompt_type

    def body(self, model: str, turns: Sequence[Turn], fields: Mapping[str, Any]) -> dict[str, Any]:
        """Raises BackendRejected where the template does not take these turns."""
        stop = [*fields.get("stop", ()), *self._prompt_type.stop]
        sent = {**fields, **({"stop": stop} if stop else {})}
        if "max_completion_tokens" in sent:
            sent["max_tokens"] = sent.pop("max_completion_tokens")
        return {"model": model, "prompt": self._prompt_type.prompt(turns), "stream": True, **sent}

    def reader(self, body: Mapping[str, Any]) -> ReadEvent:
        return lambda data, _: _as_chat(read_chunk(data))


def _as_chat(chunk: dict[str, Any]) -> dict[str, Any]:
    """A chunk of a completion as one of a chat."""
    choices = chunk.get("choices")
    if not choices:
        return chunk
    return {**chunk, "choices": [{**choices[0], "delta": {"content": choices[0].get("text")}}]}
