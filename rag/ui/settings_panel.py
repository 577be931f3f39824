"""The settings panel: mode, models to compare, documents and pages to ask, how to search and to write; and the request
that they make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field, FiniteFloat

from rag.answering.modes.request import Mode, Request
from rag.errors import InvalidRequest
from rag.storage.catalog import DEFAULT_COLLECTION
from rag.storage.selection import Selection, read_pages
from rag.types.chat import Sampling
from rag.types.documents import Message, Scope

if TYPE_CHECKING:
    from chainlit.input_widget import InputWidget

    from rag.auth.access import Access
    from rag.operations.services import Services
    from rag.ui.profiles import Profile
    from rag.ui.translations import Translations

MOST_LISTED = 300  # documents in a list to choose from; beyond, their names are typed
LARGEST_REPLY = 1_000_000  # tokens
MOST_PASSAGES = 50
# What a user chose once holds for later conversations, too; what is asked is chosen anew in each.
REMEMBERED = ("mode", "temperature", "top_p", "max_tokens", "passages", "strictness", "instructions")

Values = Mapping[str, Any]  # id of an input → what the user chose


class SentValues(BaseModel):
    """What the page may send of the panel's inputs, all of them or some."""

    mode: Mode = "documents"
    models: list[str] = []
    collection: str | None = None
    documents: list[str] = []
    pages: str | None = None
    strictness: FiniteFloat = 0
    passages: float = Field(1, ge=1, le=MOST_PASSAGES)
    temperature: FiniteFloat = 0
    top_p: FiniteFloat = 0
    max_tokens: FiniteFloat | str | None = None
    instructions: str | None = None


def inputs(
    services: Services, access: Access, profile: Profile, values: Values, translations: Translations
) -> list[InputWidget]:
    """The panel, with what was chosen before. Blocking."""
    from chainlit.input_widget import MultiSelect, NumberInput, Select, Slider, Tags, TextInput

    defaults = initial(services, profile)
    values = {**defaults, **{name: value for name, value in values.items() if name in defaults}}

    def named(name: str) -> dict[str, Any]:
        return {"id": name, "label": translations(f"settings_{name}"), "initial": values[name]}

    def select(name: str, **choices: Any) -> Select:
        return Select(**named(name), initial_value=values[name], **choices)

    modes: dict[str, str] = {translations(f"mode_{mode}"): mode for mode in offered_modes(services)}
    panel: list[InputWidget] = [select("mode", items=modes)]
    names = services.models.names
    if len(names) > 1:
        panel.append(MultiSelect(**named("models"), values=names))
    collections = collection_names(access)
    if len(collections) > 1:
        panel.append(select("collection", values=collections))
    documents = _document_names(access, values["collection"])
    if len(documents) > MOST_LISTED:
        panel.append(Tags(**named("documents"), description=translations("settings_documents_hint")))
    elif documents:
        listed = [document_id for document_id in values["documents"] if document_id in documents.values()]
        panel.append(MultiSelect(**{**named("documents"), "initial": listed}, items=documents))
    strictness_hint = translations("settings_strictness_hint")
    example = translations("settings_instructions_such_as")
    return [
        *panel,
        TextInput(**named("pages"), placeholder=translations("settings_pages_such_as")),
        Slider(**named("strictness"), min=0, max=2, step=0.01, description=strictness_hint),
        Slider(**named("passages"), min=1, max=MOST_PASSAGES),
        Slider(**named("temperature"), min=0, max=2, step=0.05),
        Slider(**named("top_p"), min=0.05, max=1, step=0.05),
        NumberInput(**named("max_tokens")),
        TextInput(**named("instructions"), placeholder=example, multiline=True),
    ]


def collection_names(access: Access) -> list[str]:
    """What one may ask, `default` first: that is what is asked where nothing is chosen. Blocking."""
    names = list(access.names())
    return [DEFAULT_COLLECTION, *(name for name in names if name != DEFAULT_COLLECTION)]


def collection_or_home(collection: str) -> str | None:
    """The collection by that name in the panel as `Access` understands it: None is one's own."""
    return None if collection == DEFAULT_COLLECTION else collection


def initial(services: Services, profile: Profile) -> dict[str, Any]:
    """What the panel says before anything is chosen."""
    sampling = services.models.get(profile.model).sampling
    mode: Mode = "documents"
    if profile.role is not None:
        sampling, mode = profile.role.persona.sampling.over(sampling), profile.role.persona.mode
    return {
        "mode": mode,
        "models": services.models.names,
        "collection": profile.collection,
        "documents": [],
        "pages": "",
        "strictness": services.settings.retrieval.min_relevance,
        "passages": services.settings.retrieval.max_passages,
        "temperature": sampling.temperature or 0.0,
        "top_p": 1.0 if sampling.top_p is None else sampling.top_p,
        "max_tokens": sampling.max_tokens,
        "instructions": "",
    }


def to_remember(services: Services, profile: Profile, values: Values) -> dict[str, Any]:
    """Of what the user chose in the panel, what is kept for later: where it differs from what holds anyway."""
    defaults = initial(services, profile)
    return {name: values[name] for name in REMEMBERED if name in values and values[name] != defaults[name]}


def build_request(
    services: Services,
    access: Access,
    profile: Profile,
    values: Values,
    messages: Sequence[Message],
    attached: frozenset[str],
    mode: Mode | None = None,
) -> Request:
    """What is asked. A question that came with files, whose documents are `attached`, is put to these; one that came
    with a command, in that `mode`. Blocking.

    Raises NotFound, InvalidRequest.
    """
    defaults = initial(services, profile)
    values = {**defaults, **values}
    mode = mode or values["mode"]
    if attached:
        mode = "documents" if mode == "chat" else mode
        collection_ids = {access.collection(access.document(document).collection).id: None for document in attached}
        scope = Scope(tuple(collection_ids), attached)
    else:
        pages = str(values["pages"] or "").strip()
        selection = Selection(tuple(values["documents"]) or None, None, read_pages(pages) if pages else None)
        scope = access.scope(collection_or_home(values["collection"]), selection)
    instructions = str(values["instructions"] or "").strip()
    request = Request(
        [*([Message("system", instructions)] if instructions else []), *messages],
        scope,
        mode,
        tuple(values["models"]) if mode == "compare" else tuple(filter(None, [profile.model])),
        _sampling(values, defaults),
        max_passages=int(values["passages"]),
        min_relevance=float(values["strictness"]),
    )
    return profile.role.play(request) if profile.role else request


def _sampling(values: Values, defaults: Values) -> Sampling:
    """What the user changed; the rest is left to the models, which may differ."""
    max_tokens = _tokens(values["max_tokens"])
    return Sampling(
        temperature=float(values["temperature"]) if values["temperature"] != defaults["temperature"] else None,
        top_p=float(values["top_p"]) if values["top_p"] != defaults["top_p"] else None,
        max_tokens=max_tokens if max_tokens != defaults["max_tokens"] else None,
    )


def _tokens(value: Any) -> int | None:
    """What the field for the longest answer says; None where it is empty. The page sends numbers and text."""
    try:
        tokens = int(float(value)) if str(value or "").strip() else None
    except (ValueError, OverflowError):
        tokens = 0
    if tokens is not None and not 1 <= tokens <= LARGEST_REPLY:
        raise InvalidRequest(
            f"{value!r} is no length of an answer.", hint="Set a number of tokens, such as 500, in the settings."
        )
    return tokens


def offered_modes(services: Services) -> list[Mode]:
    """The modes that the language models allow."""
    modes: list[Mode] = ["documents", "chat", "summarize", "plan"] if services.model.llm else ["documents"]
    if services.models.file.route:
        modes.append("route")
    if len(services.models.names) > 1:
        modes.append("compare")
    return modes


def _document_names(access: Access, collection: str) -> dict[str, str]:
    """What a document is called in the list → its id; the path where two have the same name."""
    documents = [document for document in access.documents(collection_or_home(collection)) if document.chunks]
    names = Counter(PurePath(document.source).name for document in documents)
    return {
        name if names[name := PurePath(document.source).name] == 1 else document.source: document.id
        for document in documents
    }
