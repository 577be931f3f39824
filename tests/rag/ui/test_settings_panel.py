"""The settings panel: what it begins with, and the request that it makes."""

from __future__ import annotations

import pytest

from rag.auth.principals import LOCAL
from rag.errors import InvalidRequest
from rag.settings import ModelsSettings
from rag.types.documents import Message
from rag.ui import profiles, settings_panel
from rag.ui.translations import translations_in
from tests.rag.api.conftest import api_settings
from tests.rag.api.serving import serving, write_documents

MODELS = """
[[model]]
name = "small"
provider = "scripted"
temperature = 0.3

[[model]]
name = "large"
provider = "scripted"

[[persona]]
name = "Pirate"
instructions = "Speak like a pirate."
model = "large"
mode = "chat"
max_tokens = 77
"""
QUESTION = [Message("user", "Why?")]


@pytest.fixture(scope="module")
def services(tmp_path_factory):
    folder = tmp_path_factory.mktemp("panel")
    (folder / "models.toml").write_text(MODELS)
    file = ModelsSettings(file=str(folder / "models.toml"))
    settings = api_settings(folder).model_copy(update={"models": file})
    with serving(settings, [write_documents(folder / "documents")]) as served:
        yield served.services


def request(services, profile="model small", attached=frozenset(), **values):
    return settings_panel.build_request(
        services,
        services.access(LOCAL),
        profiles.profile_of(services, services.access(LOCAL), profile),
        values,
        QUESTION,
        attached,
    )


def initial(services, profile="model small"):
    return settings_panel.initial(services, profiles.profile_of(services, services.access(LOCAL), profile))


def test_profiles_are_models_and_personas(services):
    found = profiles.profiles(services, services.access(LOCAL), translations_in("en"))
    assert [(profile.name, profile.model) for profile in found] == [
        ("small", "small"),
        ("large", "large"),
        ("Pirate", "large"),
    ]
    assert profiles.profile_of(services, services.access(LOCAL), "of yesterday") == found[0]
    assert profiles.banner(services, translations_in("en"), found[1]) == "Answers by large: provider scripted"


def test_the_panel_begins_with_what_holds_anyway(services):
    begun = initial(services)
    assert (begun["mode"], begun["temperature"], begun["models"]) == ("documents", 0.3, ["small", "large"])
    persona = initial(services, "persona Pirate")
    assert (persona["mode"], persona["max_tokens"]) == ("chat", 77)


def test_what_nobody_changed_is_left_to_the_model(services):
    untouched = initial(services)
    untouched["max_tokens"] = str(float(untouched["max_tokens"]))  # as the page sends it
    for values in ({}, untouched):
        built = request(services, **values)
        assert (built.mode, built.models, built.sampling.given()) == ("documents", ("small",), {})
        assert built.scope.document_ids is None


def test_what_was_chosen_becomes_the_request(services):
    (manual,) = [d.id for d in services.catalog.documents() if d.source.endswith("manual.pdf")]
    built = request(services, mode="summarize", documents=[manual], pages=" 2-3 ", temperature=1, max_tokens="50")
    assert built.scope.document_ids == {manual}
    assert built.scope.pages == (2, 3)
    assert built.sampling.given() == {"temperature": 1.0, "max_tokens": 50}
    assert request(services, mode="compare", models=["large", "small"]).models == ("large", "small")


def test_a_persona_speaks_in_the_chat_too(services):
    built = request(services, "persona Pirate")
    assert (built.mode, built.models, built.messages[0].content) == ("chat", ("large",), "Speak like a pirate.")
    assert built.sampling.max_tokens == 77


def test_a_question_with_files_is_put_to_these(services):
    attached = frozenset({services.catalog.documents()[0].id})
    built = request(services, "persona Pirate", attached, pages="2")
    assert (built.mode, built.scope.document_ids, built.scope.pages) == ("documents", attached, None)


@pytest.mark.parametrize("values", [{"pages": "3-"}, {"pages": "3-1"}, {"max_tokens": "many"}, {"max_tokens": "-5"}])
def test_what_cannot_be_read_is_refused(services, values):
    with pytest.raises(InvalidRequest) as raised:
        request(services, **values)
    assert raised.value.hint


def test_what_is_chosen_of_search_and_writing_becomes_the_request(services):
    built = request(services, passages=3.0, strictness=0, top_p=0.5, instructions=" Be brief. ")
    assert (built.max_passages, built.min_relevance, built.sampling.given()) == (3, 0.0, {"top_p": 0.5})
    assert built.messages == [Message("system", "Be brief."), *QUESTION]
    assert request(services).messages == QUESTION


def test_only_what_differs_from_what_holds_anyway_is_remembered(services):
    profile = profiles.profile_of(services, services.access(LOCAL), "model small")
    values = {**initial(services), "mode": "chat", "documents": ["doc_a"], "temperature": 0.3, "passages": 9}
    assert settings_panel.to_remember(services, profile, values) == {"mode": "chat", "passages": 9}
