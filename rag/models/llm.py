"""Language models: the table of providers, and the one function by which a model is asked.

Nothing that only one provider knows gets past `stream_text`: it gives text, finish reason and usage, or raises
BackendError. A new provider is a function in `PROVIDERS`, with its name in `PROVIDER_NAMES` of the settings. Any other,
`package.module:function`, is anybody's own.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from pydantic import SecretStr

from rag.concurrency import release_slot
from rag.errors import AnswerInterrupted, BackendError, BackendUnavailable
from rag.models.openai.discovery import PROBE_TIMEOUT, USUAL_PORTS, ServerProbe, listed_name, probe_model_servers
from rag.models.thoughts import LeadingThoughts, after_thoughts, note_thoughts, without_thinking
from rag.types.chat import NO_FUNCTIONS, UNSPECIFIED, Functions, Sampling
from rag.types.documents import Message
from rag.types.models import LanguageModel, ModelDelta, Sight

if TYPE_CHECKING:
    from rag.models.openai.client import OpenAICompatible
    from rag.settings import LanguageModelSettings, Settings

__all__ = [
    "PROBE_TIMEOUT",
    "USUAL_PORTS",
    "ModelDelta",
    "ServerProbe",
    "after_thoughts",
    "check_model",
    "close_language_model",
    "open_language_model",
    "probe_model_servers",
    "refresh_model",
    "stream_text",
    "wait_for_model",
]

_NOTHING = ModelDelta("")
HOW_TO_ADD_A_MODEL = "to add one, start Ollama, llama-server or vLLM, or set RAG_LLM__BASE_URL"


def open_language_model(settings: Settings) -> LanguageModel:
    """The model that the settings name; blocking: loads a file or asks servers, seconds at most.

    A configured server that does not answer is no error here, but at the question. Raises ConfigurationError.
    """
    provider = settings.llm.provider
    if provider == "quotes":
        model = _quotes(HOW_TO_ADD_A_MODEL)
    else:
        model = _open_auto(settings) if provider == "auto" else _open(provider, settings.llm)
    return replace(
        model,
        name=settings.llm.name or model.name,
        sampling=settings.llm.sampling,
        sight=Sight(settings.llm.vision),
        system_prompt=settings.llm.system_prompt,
    )


async def stream_text(  # noqa: C901  (one loop, and what can go wrong in it)
    model: LanguageModel,
    messages: Sequence[Message],
    sampling: Sampling = UNSPECIFIED,
    functions: Functions = NO_FUNCTIONS,
    *,
    thinks: bool = True,
) -> AsyncGenerator[ModelDelta, None]:
    """The reply to `messages`, piece by piece; what `sampling` leaves open is as the model's settings have it. Closing
    the iterator (or cancelling its task) stops the generation. `functions` are for a model that can call some.

    The thoughts with which a reasoning model begins come as `thoughts`, never as text; a reply that ends inside them
    has no text. Where the opening tag lacks, a reply that begins as thoughts do (or comes from a model that has left it
    out before) is held until they end, or the reply does. Without `thinks` the model is asked not to think
    (rag/models/thoughts.py). Raises BackendUnavailable or BackendRejected; AnswerInterrupted once text has come.
    """
    if model.llm is None:
        raise BackendUnavailable("There is no language model.", hint=f"{HOW_TO_ADD_A_MODEL}.")
    options = sampling.over(model.sampling).given()
    if "stop" in options:
        options["stop"] = list(options["stop"])
    options |= functions.options()
    failed_ways = model.thoughts.failed_ways
    if not thinks:
        messages, options = without_thinking(model, messages, options)
    leading = LeadingThoughts(model.thoughts.are_unopened)
    has_text = has_thoughts = False
    release_slot()
    try:
        async with aclosing(model.llm.stream(messages, options)) as deltas:
            async for delta in deltas:
                thoughts, text = leading.feed(delta.text)
                if delta.finish_reason or delta.calls:  # no text may come after them
                    held = leading.flush(is_cut_off=delta.finish_reason in ("length", "content_filter"))
                    thoughts, text = thoughts + held[0], text + held[1]
                shown = delta
                if text != delta.text or leading.retracts:
                    shown = replace(delta, text=text, thoughts=delta.thoughts + thoughts, retracts=leading.retracts)
                has_text = has_text or bool(text or delta.calls)
                has_thoughts = has_thoughts or bool(shown.thoughts.strip()) or shown.retracts
                if shown != _NOTHING:
                    yield shown
        thoughts, text = leading.flush()
        if thoughts or text:
            has_thoughts = has_thoughts or bool(thoughts.strip())
            yield ModelDelta(text, thoughts=thoughts)
        if leading.are_unopened is not None:
            model.thoughts.are_unopened = leading.are_unopened
        if has_thoughts and not thinks:
            note_thoughts(model, failed_ways)
    except BackendError as error:
        if not has_text:
            raise
        raise AnswerInterrupted(error.message, hint=error.hint) from error
    except Exception as error:
        kind = AnswerInterrupted if has_text else BackendUnavailable
        raise kind(
            f"{model.name} failed: {type(error).__name__}: {error}",
            hint="Ask again; if it fails again, the log says more.",
        ) from error


async def check_model(model: LanguageModel) -> None:
    """Whether the model can be asked now: its server is asked for its models (2 s). Raises BackendUnavailable."""
    if llm := _on_server(model):
        await llm.check()


async def wait_for_model(model: LanguageModel, report: Callable[[str], None]) -> None:
    """Waits as long as the model's server loads it and the limit for the first token allows; `report` is told what is
    waited for."""
    if (llm := _on_server(model)) and llm.problem:
        async for reason in llm.wait_until_loaded(llm.limits.first):
            report(reason)


async def refresh_model(model: LanguageModel) -> LanguageModel:
    """`model` itself; or, where its server did not answer when it was opened, what is known of it now.

    Raises BackendUnavailable when the server still does not answer.
    """
    if not (llm := _on_server(model)):
        return model
    if llm.problem:
        await llm.check()
    known = llm.language_model()
    if (known.description, known.context_window) == (model.description, model.context_window):
        return model
    return replace(model, name=known.name, description=known.description, context_window=known.context_window)


def close_language_model(model: LanguageModel) -> None:
    """Stop what the model does and free what it holds; blocking."""
    close = getattr(model.llm, "close", None)
    if close is not None:
        close()


def _on_server(model: LanguageModel) -> OpenAICompatible | None:
    """What asks for the model, where that is at a server that may be away."""
    if model.provider not in _AT_SERVERS:
        return None
    from rag.models.openai.client import OpenAICompatible

    assert isinstance(model.llm, OpenAICompatible)
    return model.llm


# ------------------------------------------------------------------------------------------------------- the providers


def _open(provider: str, settings: LanguageModelSettings) -> LanguageModel:
    """What a provider needs is imported when it is asked for."""
    model: LanguageModel = resolve_name(PROVIDERS.get(provider, "rag.models.llama_index:open_llama_index"))(settings)
    return model


def _quotes(what_to_do: str) -> LanguageModel:
    description = f"no language model: answers are quotes; {what_to_do}"
    return LanguageModel(provider="quotes", name="quotes", description=description)


def _open_auto(settings: Settings) -> LanguageModel:
    """What the settings point to; else the first server on a usual local port that lists a model; else quotes."""
    if settings.llm.base_url:
        return _open("openai", settings.llm)
    if Path(settings.llm.model).suffix.lower() == ".gguf":
        return _open("llama_cpp", settings.llm)
    return _open_first(probe_model_servers(settings), settings)


def _open_first(probes: Sequence[ServerProbe], settings: Settings) -> LanguageModel:
    wanted = settings.llm.model
    for probe in probes:
        if probe.models and (not wanted or listed_name(wanted, probe.models)):
            # The key stays here: whatever listens on a usual port was not chosen by the user.
            found = settings.llm.model_copy(
                update={"base_url": probe.base_url, "api_key": SecretStr(""), "api_key_env": ""}
            )
            return _open("openai", found)
    if wanted:
        return _quotes(f"no server on the usual local ports has the model {wanted}; set RAG_LLM__BASE_URL")
    return _quotes(HOW_TO_ADD_A_MODEL)


_AT_SERVERS = ("openai", "tgi", "gradio")
PROVIDERS = {
    "openai": "rag.models.openai.client:open_openai",
    "tgi": "rag.models.openai.tgi:open_tgi",
    "gradio": "rag.models.openai.gradio:open_gradio",
    "llama_cpp": "rag.models.llama_cpp.client:open_llama_cpp",
    "scripted": "rag.models.scripted:open_scripted",
}
