"""The `tgi` provider: Hugging Face's text generation server by its own address, `/generate_stream`, which takes a
prompt as text. A TGI that also has `/v1/chat/completions` is better asked there, as `openai`: it knows the model's own
template."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from rag.models.openai.client import open_at
from rag.models.openai.discovery import ServerProbe, checked_base_url, fetch, trusts_environment
from rag.models.openai.endpoints import ChatCompletions, ReadEvent
from rag.models.openai.event_reader import read_chunk
from rag.models.prompt_type import PROMPT_TYPES, PromptType, load_prompt_type

if TYPE_CHECKING:
    from rag.models.chat_template import Turn
    from rag.settings import LanguageModelSettings
    from rag.types.models import LanguageModel

_TIMEOUT = 2  # seconds
_MOST_STOPS = 4  # TGI's own limit, where it was started without another one
_SAME_NAMES = ("seed", "top_k", "repetition_penalty", "frequency_penalty")
_FAMILIES = (  # what is in a model's name, and its prompt type
    ("zephyr", "zephyr"),
    ("vicuna", "vicuna"),
    ("alpaca", "alpaca"),
    ("llama-3", "llama3"),
    ("llama-2", "llama2"),
    ("mistral", "mistral"),
    ("mixtral", "mistral"),
    ("gemma", "gemma"),
    ("phi-3", "phi3"),
    ("qwen", "chatml"),
    ("hermes", "chatml"),
)


def open_tgi(settings: LanguageModelSettings) -> LanguageModel:
    """The model at `settings.base_url`; blocking, seconds at most. Raises ConfigurationError."""
    return open_at(settings, Tgi(load_prompt_type(settings.prompt_type) if settings.prompt_type else None))


class Tgi(ChatCompletions):
    """TGI's `/generate_stream`. Without a `prompt_type` the one that the model's name suggests, else `plain`."""

    path = "generate_stream"
    calls_functions = False
    takes_images = False
    counts_prompts = False

    def __init__(self, prompt_type: PromptType | None) -> None:
        self._chosen = prompt_type

    def probe(self, base_url: str, model: str, api_key: str) -> ServerProbe:
        """What the server's `/info` tells."""
        probe = ServerProbe("TGI", checked_base_url(base_url))
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        try:
            with httpx.Client(headers=headers, timeout=_TIMEOUT, trust_env=trusts_environment(base_url)) as client:
                status, info = fetch(client, f"{probe.base_url}/info", deadline=time.monotonic() + 2 * _TIMEOUT)
        except (httpx.HTTPError, httpx.InvalidURL):
            return replace(probe, problem="nothing answers there")
        if status in {401, 403}:
            problem = "it refuses the API key" if api_key else "it wants an API key"
            return replace(probe, reachable=True, problem=problem)
        if status != 200 or not isinstance(info, Mapping) or not isinstance(info.get("model_id"), str):
            return replace(
                probe, reachable=True, problem=f"it is no TGI (HTTP {status} at {urlsplit(base_url).path}/info)"
            )
        window = info.get("max_total_tokens")
        return replace(
            probe,
            reachable=True,
            models=(info["model_id"],),
            context_window=window if isinstance(window, int) and window > 0 else 0,
        )

    def body(self, model: str, turns: Sequence[Turn], fields: Mapping[str, Any]) -> dict[str, Any]:
        """Raises BackendRejected where the template does not take these turns."""
        prompt_type = self._chosen or load_prompt_type(_usual_prompt_type(model))
        parameters = {name: fields[name] for name in _SAME_NAMES if name in fields}
        parameters["max_new_tokens"] = fields.get("max_tokens", fields.get("max_completion_tokens"))
        parameters["details"] = True
        parameters["stop"] = [*prompt_type.stop, *fields.get("stop", ())][:_MOST_STOPS]
        if fields.get("temperature", 0) > 0:  # 0 is refused, and is what it does without
            parameters |= {"do_sample": True, "temperature": fields["temperature"]}
            if 0 < fields.get("top_p", 1) < 1:
                parameters["top_p"] = fields["top_p"]
        if form := fields.get("response_format"):
            schema = form.get("json_schema", {}).get("schema", {"type": "object"})
            parameters["grammar"] = {"type": "json", "value": schema}
        return {"inputs": prompt_type.prompt(turns), "parameters": parameters, "stream": True}

    def reader(self, body: Mapping[str, Any]) -> ReadEvent:
        return _EventsAsChunks(body["parameters"]["stop"])


class _EventsAsChunks:
    """Makes chunks of a chat of TGI's events. A text that ends the reply comes in it, as its last tokens: what may be
    its beginning is held until it is known not to be."""

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = stop
        self._held = ""

    def __call__(self, data: bytes, name: str) -> dict[str, Any]:
        event = read_chunk(data)
        token = event.get("token") or {}
        if not token.get("special"):
            self._held += token.get("text") or ""
        is_last = event.get("generated_text") is not None
        if is_last:
            text = next((self._held.removesuffix(stop) for stop in self._stop if self._held.endswith(stop)), self._held)
            self._held = ""
        else:
            held = max(
                (n for stop in self._stop for n in range(1, len(stop) + 1) if self._held.endswith(stop[:n])), default=0
            )
            text, self._held = self._held[: len(self._held) - held], self._held[len(self._held) - held :]
        chunk: dict[str, Any] = {"choices": [{"delta": {"content": text}}]}
        if is_last:
            details = event.get("details") or {}
            chunk["choices"][0]["finish_reason"] = "length" if details.get("finish_reason") == "length" else "stop"
            if prompt_tokens := details.get("input_length"):  # of newer ones
                chunk["usage"] = {"prompt_tokens": prompt_tokens, "completion_tokens": details.get("generated_tokens")}
        return chunk


def _usual_prompt_type(model: str) -> str:
    name = model.lower().replace("_", "-")
    return next((prompt_type for part, prompt_type in _FAMILIES if part in name), PROMPT_TYPES[-1])
