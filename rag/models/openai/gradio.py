"""The `gradio` provider: a chat application made with Gradio 4 or later, asked as its page asks it.

Such an application takes one text and whatever further inputs it has, and shows its answer as it grows. It knows
nothing of turns: the conversation is one text, by `prompt_type` (`plain` unless set), save for a system message where
the application has an input for it. Protocol: https://www.gradio.app/guides/querying-gradio-apps-with-curl
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx

from rag.models.openai.client import open_at
from rag.models.openai.discovery import ServerProbe, checked_base_url, fetch, trusts_environment
from rag.models.openai.endpoints import ChatCompletions, ReadEvent
from rag.models.openai.errors import NoJson, ServerError
from rag.models.prompt_type import load_prompt_type

if TYPE_CHECKING:
    from rag.models.chat_template import Turn
    from rag.models.prompt_type import PromptType
    from rag.settings import LanguageModelSettings
    from rag.types.models import LanguageModel

_TIMEOUT = 5  # seconds: an application may be asleep
_LARGEST_ANSWER = 16 << 20  # bytes: it describes the whole page
_USUAL = ("/chat", "/predict", "/generate")  # names of functions, the likeliest first
_SYSTEM = {"system_message", "system_prompt", "system"}  # what inputs are called
_SAMPLING = {  # the same for a field of OpenAI's request
    "max_tokens": {"max_tokens", "max_new_tokens", "max_length"},
    "temperature": {"temperature"},
    "top_p": {"top_p", "top_p_nucleus_sampling"},
    "top_k": {"top_k"},
    "seed": {"seed"},
    "repetition_penalty": {"repetition_penalty"},
}
_RANGE = re.compile(r"between (-?\d{1,12}(?:\.\d{1,12})?) and (-?\d{1,12}(?:\.\d{1,12})?)")


def open_gradio(settings: LanguageModelSettings) -> LanguageModel:
    """The application at `settings.base_url`; `settings.model` names a function of it, `settings.options` further
    inputs. Blocking, seconds at most. Raises ConfigurationError."""
    return open_at(settings, Gradio(load_prompt_type(settings.prompt_type or "plain"), settings.options))


@dataclass(frozen=True, slots=True)
class _Function:
    """A function of the application: the path of its calls, its name, and its inputs as Gradio describes them."""

    path: str
    name: str
    inputs: Sequence[Mapping[str, Any]]

    @property
    def text_input(self) -> int:
        """Where the text goes: the first input that is a text without a value of its own, else the first text."""
        texts = [place for place, entry in enumerate(self.inputs) if _takes_text(entry)]
        return next((place for place in texts if not self.inputs[place].get("parameter_has_default")), texts[0])


class Gradio(ChatCompletions):
    """A Gradio application's function that takes a text and gives one."""

    calls_functions = False
    writes_json = False
    takes_images = False
    counts_prompts = False

    def __init__(self, prompt_type: PromptType, arguments: Mapping[str, Any]) -> None:
        self._prompt_type = prompt_type
        self._arguments = arguments
        self._function = _Function("gradio_api/call/chat", "chat", ({"type": {"type": "string"}},))

    def probe(self, base_url: str, model: str, api_key: str) -> ServerProbe:
        """What the application tells of its functions; the one to ask is remembered."""
        probe = ServerProbe("Gradio", checked_base_url(base_url))
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        deadline = time.monotonic() + 2 * _TIMEOUT
        try:
            with httpx.Client(headers=headers, timeout=_TIMEOUT, trust_env=trusts_environment(base_url)) as client:
                status, config = fetch(client, f"{probe.base_url}/config", deadline, largest=_LARGEST_ANSWER)
                prefix = str(config.get("api_prefix") or "").strip("/") if isinstance(config, Mapping) else ""
                _, told = fetch(
                    client, "/".join(filter(None, [probe.base_url, prefix, "info"])), deadline, largest=_LARGEST_ANSWER
                )
        except (httpx.HTTPError, httpx.InvalidURL):
            return replace(probe, problem="nothing answers there")
        probe = replace(probe, reachable=True)
        if status in {401, 403}:
            return replace(probe, problem="it wants a log-in, which Footnote does not have")
        functions = told.get("named_endpoints") if isinstance(told, Mapping) else None
        if not isinstance(config, Mapping) or not isinstance(functions, Mapping):
            return replace(probe, problem=f"it is no Gradio application (HTTP {status} at /config)")
        inputs = {str(name): _inputs(function) for name, function in functions.items()}
        askable = {name: entries for name, entries in inputs.items() if any(map(_takes_text, entries))}
        wanted = (f"/{model.strip('/')}",) if model else (*_USUAL, *askable)
        name = next((name for name in wanted if name in askable), "")
        if not name:
            has = ", ".join(map(str, functions)) or "none"
            return replace(probe, problem=f"it has no function {model or 'that takes a text'} (it has: {has})")
        path = "/".join(filter(None, [prefix, "call", name.strip("/")]))
        self._function = _Function(path, name.strip("/"), askable[name])
        return replace(probe, models=(model or self._function.name,))

    def body(self, model: str, turns: Sequence[Turn], fields: Mapping[str, Any]) -> dict[str, Any]:
        """Raises BackendRejected where the template does not take these turns."""
        inputs = self._function.inputs
        values = [self._arguments.get(_name(entry), entry.get("parameter_default")) for entry in inputs]
        for place, entry in enumerate(inputs):
            field = next((field for field, names in _SAMPLING.items() if _name(entry) in names), "")
            if fields.get(field) is not None and _name(entry) not in self._arguments:
                values[place] = _within_range(fields[field], entry)
        system = next((place for place, entry in enumerate(inputs) if _name(entry) in _SYSTEM), None)
        if system is not None and turns[0]["role"] == "system" and len(turns) > 1:
            values[system] = "\n\n".join(
                filter(None, [self._arguments.get(_name(inputs[system])), turns[0]["content"]])
            )
            turns = turns[1:]
        text = self._prompt_type.prompt(turns).rstrip()
        place = self._function.text_input
        values[place] = {"text": text, "files": []} if _is_multimodal(inputs[place]) else text
        return {"data": values}

    async def open(
        self, session: aiohttp.ClientSession, base_url: str, body: Mapping[str, Any]
    ) -> aiohttp.ClientResponse:
        """The stream of the answer; or the refusal, where the application did not take the call."""
        url = f"{base_url}/{self._function.path}"
        response = await session.post(url, json=body, allow_redirects=False)
        if response.status != 200:
            return response
        async with response:
            try:
                call = str(json.loads(await response.read())["event_id"])
            except (ValueError, KeyError, TypeError) as error:
                raise NoJson(f"{url} gave no event_id") from error
        if not re.fullmatch(r"[\w-]{1,100}", call):
            raise NoJson(f"{url} gave an event_id that is none")
        return await session.get(f"{url}/{call}", allow_redirects=False)

    def reader(self, body: Mapping[str, Any]) -> ReadEvent:
        return _EventsAsChunks()


def _inputs(function: object) -> list[Mapping[str, Any]]:
    """The inputs of a function as an application describes it; none where that is of another form."""
    entries = function.get("parameters") if isinstance(function, Mapping) else None
    entries = entries if isinstance(entries, list) else []
    return entries if all(isinstance(entry, Mapping) for entry in entries) else []


class _EventsAsChunks:
    """Makes chunks of a chat of the events of one call, each of which has all of the answer that there is so far."""

    def __init__(self) -> None:
        self._text = ""

    def __call__(self, data: bytes, name: str) -> dict[str, Any]:
        if name not in {"generating", "complete", "error"}:
            return {}
        try:
            values = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise NoJson(data.decode(errors="replace")) from error
        if name == "error":
            reason = values.get("error") if isinstance(values, Mapping) else values
            raise ServerError(json.dumps({"error": str(reason or "the application failed and does not say why")}))
        text = _shown_text(values[0] if isinstance(values, list) and values else values)
        if not text.startswith(self._text):
            if name == "generating":  # "Thinking…", until the answer comes
                return {}
            raise ServerError(json.dumps({"error": "the application wrote another answer than it had begun"}))
        delta, self._text = text[len(self._text) :], text
        choice: dict[str, Any] = {"delta": {"content": delta}}
        return {"choices": [choice | ({"finish_reason": "stop"} if name == "complete" else {})]}


def _shown_text(value: object) -> str:
    """The answer in an output: a text, a message, or a whole conversation, of which it is the last."""
    if isinstance(value, Mapping):
        return _shown_text(value.get("content", value.get("text", "")))
    if isinstance(value, list):
        return _shown_text(value[-1]) if value else ""
    return str(value or "")


def _name(entry: Mapping[str, Any]) -> str:
    return str(entry.get("parameter_name") or entry.get("label") or "").lower().replace(" ", "_")


def _is_multimodal(entry: Mapping[str, Any]) -> bool:
    return entry.get("component") == "Multimodaltextbox"


def _takes_text(entry: Mapping[str, Any]) -> bool:
    kind = entry.get("type")
    is_text = isinstance(kind, Mapping) and kind.get("type") == "string" and not kind.get("enum")
    return (is_text and _name(entry) not in _SYSTEM) or _is_multimodal(entry)


def _within_range(value: float, entry: Mapping[str, Any]) -> float:
    """A slider refuses what lies beyond its ends."""
    kind = entry.get("type")
    ends = _RANGE.search(str(kind.get("description") if isinstance(kind, Mapping) else ""))
    return min(max(value, float(ends[1])), float(ends[2])) if ends else value
