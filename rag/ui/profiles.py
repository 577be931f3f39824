"""Chat profiles: whom one can talk to, a language model or a persona. The empty chat shows what each is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from rag.errors import caller_runs_footnote
from rag.models.openai.discovery import USUAL_PORTS, shown_address
from rag.storage.catalog import DEFAULT_COLLECTION
from rag.ui.markdown import escape
from rag.ui.translations import translations_in

if TYPE_CHECKING:
    from rag.answering.personas import Role
    from rag.auth.access import Access
    from rag.models.registry import LanguageModels
    from rag.operations.services import Services
    from rag.settings import LanguageModelSettings
    from rag.types.models import LanguageModel
    from rag.ui.translations import Translations


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


def profiles(services: Services, access: Access, translations: Translations) -> list[Profile]:
    """The models, the default one first, and the personas of collections that may be read. Blocking."""
    models = services.models
    names = models.names or [models.default_name]
    found = [
        Profile(f"model {name}", name or translations("language_model"), _of_model(models, name, translations), name)
        for name in names
    ]
    readable = {collection.name for collection in access.collections()}
    for role in services.roles:
        persona = role.persona
        if persona.collection not in readable:
            continue
        description = escape(persona.description or translations("from_collection", collection=persona.collection))
        found.append(Profile(f"persona {persona.name}", persona.name, description, persona.model, role))
    return found


def profile_of(services: Services, access: Access, profile_id: str | None) -> Profile:
    """The profile that a chat was begun with, else the default model. Blocking."""
    found = profiles(services, access, translations_in(""))  # nobody reads its description
    return next((profile for profile in found if profile.id == profile_id), found[0])


def no_model_notice(services: Services, translations: Translations) -> str:
    """Where no language model was found: where one was looked for, and how to add one; empty where there is one."""
    if services.model.llm is not None or not caller_runs_footnote():
        return ""
    if services.settings.llm.provider != "auto":
        return translations("no_model")
    places = ", ".join(f"{name} ({port})" for name, port in USUAL_PORTS if port != services.settings.server.port)
    if model := services.settings.llm.model:
        return translations("no_such_model_found", model=model, places=places)
    return translations("no_model_found", places=places)


def banner(services: Services, translations: Translations, profile: Profile | None = None) -> str:
    """The line above the chat: who answers."""
    if profile is not None and profile.role is not None:
        model = profile.model or services.models.default_name or description_of(services.model)
        return translations("banner_persona", name=profile.name, model=model)
    if profile is not None and profile.model and profile.model != services.models.default_name:
        described = _described(services.models.described[profile.model], translations)
        return translations("banner_model", model=f"{profile.model}: {described}")
    if services.model.llm is None:
        hint = translations("banner_quotes_hint") if caller_runs_footnote() else ""
        return " ".join(filter(None, [translations("banner_quotes"), hint]))
    name = f"{services.models.default_name}: " if services.models.file.model else ""
    return translations("banner_model", model=f"{name}{description_of(services.model)}")


def description_of(model: LanguageModel) -> str:
    """The model and where it is; to those who do not run Footnote its name alone."""
    return model.description if caller_runs_footnote() else model.name


def _of_model(models: LanguageModels, name: str, translations: Translations) -> str:
    if name == models.default_name:
        return escape(description_of(models.get()))
    return escape(_described(models.described[name], translations))


def _described(settings: LanguageModelSettings, translations: Translations) -> str:
    """What is known of a model that may not have been opened yet."""
    if settings.base_url and not caller_runs_footnote():
        return settings.model
    if settings.base_url:
        return " ".join(filter(None, [settings.model, f"at {shown_address(settings.base_url)}"]))
    if settings.model:
        return translations("in_own_process", model=PurePath(settings.model).name)
    return translations("provider", provider=settings.provider)
