"""Chat profiles: whom one can talk to, a language model or a persona. The empty chat shows what each is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from rag.backends.servers import USUAL_PORTS, shown_address
from rag.catalog import DEFAULT_COLLECTION
from rag.ui.markdown import escape

if TYPE_CHECKING:
    from rag.access import Access
    from rag.language_models import LanguageModels
    from rag.personas import Role
    from rag.services import Services
    from rag.settings import LanguageModelSettings


@dataclass(frozen=True, slots=True)
class Profile:
    """A model (empty: the default one), or a persona. `description` is Markdown."""

    id: str
    name: str
    description: str
    model: str = ""
    role: Role | None = None

    @property
    def collection(self) -> str:
        """The documents that are asked where the user chooses none."""
        return self.role.persona.collection if self.role else DEFAULT_COLLECTION


def profiles(services: Services, caller: Access) -> list[Profile]:
    """The models, the default one first, and the personas of collections that may be read. Blocking."""
    models = services.models
    names = models.names or [models.default_name]
    found = [Profile(f"model {name}", name or "Language model", _of_model(models, name), name) for name in names]
    readable = {collection.name for collection in caller.collections()}
    for role in services.roles:
        persona = role.persona
        if persona.collection not in readable:
            continue
        description = escape(persona.description or f"Answers from the collection {persona.collection}.")
        found.append(Profile(f"persona {persona.name}", persona.name, description, persona.model, role))
    return found


def profile_of(services: Services, caller: Access, profile_id: str | None) -> Profile:
    """The profile that a chat was begun with, else the default model. Blocking."""
    found = profiles(services, caller)
    return next((profile for profile in found if profile.id == profile_id), found[0])


def no_model_notice(services: Services) -> str:
    """Where no language model was found: where one was looked for, and how to add one; empty where there is one."""
    if services.model.llm is not None:
        return ""
    add = "or name one in `RAG_LLM__BASE_URL` or `models.toml` and restart Footnote."
    if services.settings.llm.provider != "auto":
        return f"There is no language model: answers are quotes. Set `RAG_LLM__PROVIDER=auto` to look for one, {add}"
    places = [f"{name} ({port})" for name, port in USUAL_PORTS if port != services.settings.server.port]
    wanted = f" with {services.settings.llm.model}" if services.settings.llm.model else ""
    return (
        f"No language model{wanted} was found at the usual ports of this machine: {', '.join(places)}. Until there is "
        f"one, answers are quotes. Start one and begin a new chat, {add}"
    )


def banner(services: Services, profile: Profile | None = None) -> str:
    """The line above the chat: who answers."""
    if profile is not None and profile.role is not None:
        model = profile.model or services.models.default_name or services.model.description
        return f"{profile.name}, a persona of {model}"
    if profile is not None and profile.model and profile.model != services.models.default_name:
        return f"Answers by {profile.model}: {_described(services.models.described[profile.model])}"
    if services.model.llm is None:
        return "No language model: answers are quotes. Start one and begin a new chat, or set `RAG_LLM__BASE_URL`."
    name = f"{services.models.default_name}: " if services.models.file.model else ""
    return f"Answers by {name}{services.model.description}"


def _of_model(models: LanguageModels, name: str) -> str:
    if name == models.default_name:
        return escape(models.get().description)
    return escape(_described(models.described[name]))


def _described(settings: LanguageModelSettings) -> str:
    """What is known of a model that may not have been opened yet."""
    if settings.base_url:
        return " ".join(filter(None, [settings.model, f"at {shown_address(settings.base_url)}"]))
    if settings.model:
        return f"{PurePath(settings.model).name}, in Footnote's own process"
    return f"provider {settings.provider}"
