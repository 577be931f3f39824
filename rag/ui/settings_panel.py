"""The settings panel: mode, models to compare, documents and pages to ask, how to search and to write; and the request
that they make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

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

Told = Mapping[str, Any]  # id of an input → what the user chose


def inputs(services: Services, caller: Access, profile: Profile, told: Told, texts: Translations) -> list[InputWidget]:
    """The panel, with what was told before. Blocking."""
    from chainlit.input_widget import MultiSelect, NumberInput, Select, Slider, Tags, TextInput

    defaults = initial(services, profile)
    at = {**defaults, **{name: value for name, value in told.items() if name in defaults}}
    names = services.models.names
    modes: dict[str, str] = {texts(f"mode_{mode}"): mode for mode in offered(services)}
    panel: list[InputWidget] = [Select(id="mode", label=texts("settings_mode"), items=modes, initial_value=at["mode"])]
    if len(names) > 1:
        panel.append(MultiSelect(id="models", label=texts("settings_models"), values=names, initial=at["models"]))
    collections = collections_of(caller)
    if len(collections) > 1:
        panel.append(
            Select(
                id="collection", label=texts("settings_collection"), values=collections, initial_value=at["collection"]
            )
        )
    documents = _documents(caller, at["collection"])
    label = texts("settings_documents")
    if len(documents) > MOST_LISTED:
        hint = texts("settings_documents_hint")
        panel.append(Tags(id="documents", label=label, initial=at["documents"], description=hint))
    elif documents:
        known = [chosen for chosen in at["documents"] if chosen in documents.values()]
        panel.append(MultiSelect(id="documents", label=label, items=documents, initial=known))
    panel.append(
        TextInput(
            id="pages", label=texts("settings_pages"), placeholder=texts("settings_pages_such_as"), initial=at["pages"]
        )
    )
    panel.append(
        Slider(
            id="strictness",
            label=texts("settings_strictness"),
            min=0,
            max=2,
            step=0.01,
            initial=at["strictness"],
            description=texts("settings_strictness_hint"),
        )
    )
    panel.append(
        Slider(id="passages", label=texts("settings_passages"), min=1, max=MOST_PASSAGES, initial=at["passages"])
    )
    panel.append(
        Slider(
            id="temperature", label=texts("settings_temperature"), min=0, max=2, step=0.05, initial=at["temperature"]
        )
    )
    panel.append(Slider(id="top_p", label=texts("settings_top_p"), min=0.05, max=1, step=0.05, initial=at["top_p"]))
    panel.append(NumberInput(id="max_tokens", label=texts("settings_max_tokens"), initial=at["max_tokens"]))
    panel.append(
        TextInput(
            id="instructions",
            label=texts("settings_instructions"),
            placeholder=texts("settings_instructions_such_as"),
            multiline=True,
            initial=at["instructions"],
        )
    )
    return panel


def collections_of(caller: Access) -> list[str]:
    """What one may ask, `default` first: that is what is asked where nothing is chosen. Blocking."""
    names = list(caller.names())
    return [DEFAULT_COLLECTION, *(name for name in names if name != DEFAULT_COLLECTION)]


def chosen(collection: str) -> str | None:
    """The collection by that name in the panel, as `Access` understands it."""
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


def to_remember(services: Services, profile: Profile, told: Told) -> dict[str, Any]:
    """Of what the user chose in the panel, what is kept for later: where it differs from what holds anyway."""
    defaults = initial(services, profile)
    return {name: told[name] for name in REMEMBERED if name in told and told[name] != defaults[name]}


def request(
    services: Services,
    caller: Access,
    profile: Profile,
    told: Told,
    messages: Sequence[Message],
    attached: frozenset[str],
    mode: Mode | None = None,
) -> Request:
    """What is asked. A question that came with files, whose documents are `attached`, is put to these; one that came
    with a command, in that `mode`. Blocking.

    Raises NotFound, InvalidRequest.
    """
    defaults = initial(services, profile)
    at = {**defaults, **told}
    mode = mode or at["mode"]
    if attached and mode == "chat":
        mode = "documents"
    pages = str(at["pages"] or "").strip()
    selection = Selection(tuple(at["documents"]) or None, None, read_pages(pages) if pages else None)
    if attached:
        ids = dict.fromkeys(caller.collection(caller.document(document).collection).id for document in attached)
        scope = Scope(tuple(ids), attached)
    else:
        scope = caller.scope(chosen(at["collection"]), selection)
    models = tuple(at["models"]) if mode == "compare" else tuple(filter(None, [profile.model]))
    instructions = str(at["instructions"] or "").strip()
    asked = Request(
        [*([Message("system", instructions)] if instructions else []), *messages],
        scope,
        mode,
        models,
        _sampling(at, defaults),
        max_passages=int(at["passages"]),
        min_relevance=float(at["strictness"]),
    )
    return profile.role.play(asked) if profile.role else asked


def _sampling(told: Told, defaults: Told) -> Sampling:
    """What the user changed; the rest is left to the models, which may differ."""
    sampling = Sampling()
    if told["temperature"] != defaults["temperature"]:
        sampling = replace(sampling, temperature=float(told["temperature"]))
    if told["top_p"] != defaults["top_p"]:
        sampling = replace(sampling, top_p=float(told["top_p"]))
    longest = _tokens(told["max_tokens"])
    return sampling if longest == defaults["max_tokens"] else replace(sampling, max_tokens=longest)


def _tokens(told: Any) -> int | None:
    """What the field for the longest answer says; None where it is empty. The page sends numbers and text."""
    try:
        tokens = int(float(told)) if str(told or "").strip() else None
    except (ValueError, OverflowError):
        tokens = 0
    if tokens is not None and not 1 <= tokens <= LARGEST_REPLY:
        raise InvalidRequest(
            f"{told!r} is no length of an answer.", hint="Set a number of tokens, such as 500, in the settings."
        )
    return tokens


def offered(services: Services) -> list[Mode]:
    """The modes that the language models allow."""
    modes: list[Mode] = ["documents", "chat", "summarize", "plan"] if services.model.llm else ["documents"]
    if services.models.file.route:
        modes.append("route")
    if len(services.models.names) > 1:
        modes.append("compare")
    return modes


def _documents(caller: Access, collection: str) -> dict[str, str]:
    """What a document is called in the list → its id; the path where two have the same name."""
    documents = [document for document in caller.documents(chosen(collection)) if document.chunks]
    names = Counter(PurePath(document.source).name for document in documents)
    return {
        name if names[name := PurePath(document.source).name] == 1 else document.source: document.id
        for document in documents
    }
