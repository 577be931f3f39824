"""Personas: what they add to a request, what goes first, and what is refused at the start."""

from __future__ import annotations

import pytest

from rag.answering.modes.request import Request
from rag.answering.personas import addressed, read_roles
from rag.errors import ConfigurationError
from rag.models.models_file import ModelsFile, Persona
from rag.types.chat import Sampling
from rag.types.documents import Message, Scope

ASKED = Request([Message("system", "Be kind."), Message("user", "Why?")], Scope(("vs_1",)))


def roles(folder, **persona):
    persona = Persona(name="Cook", collection="menus", **persona)
    return read_roles(ModelsFile.model_construct(folder=folder, persona=(persona,)))


def test_a_persona_tells_how_to_answer_and_the_request_what_goes_first(tmp_path):
    (tmp_path / "few.jsonl").write_text(
        '{"question": "A?", "answer": "B [1]."}\n\n{"question": "C?", "answer": "D."}\n'
    )
    cook = roles(
        tmp_path, instructions="Be brief.", examples="few.jsonl", model="m", mode="chat", temperature=0.5, max_tokens=99
    )
    played = addressed(ASKED, "menus", cook, None)
    assert [message.content for message in played.messages] == ["Be brief.", "Be kind.", "Why?"]
    assert [(turn.role, turn.content) for turn in played.examples] == [
        ("user", "A?"),
        ("assistant", "B [1]."),
        ("user", "C?"),
        ("assistant", "D."),
    ]
    assert (played.models, played.mode) == (("m",), "chat")
    assert played.sampling == Sampling(temperature=0.5, max_tokens=99)
    own = Request(ASKED.messages, ASKED.scope, models=("other",), sampling=Sampling(temperature=1.0))
    played = addressed(own, "menus", cook, "plan")
    assert (played.models, played.mode) == (("other",), "plan")
    assert played.sampling == Sampling(temperature=1.0, max_tokens=99)


def test_another_collection_is_asked_as_it_is(tmp_path):
    assert addressed(ASKED, "default", roles(tmp_path, instructions="Be brief."), None) == ASKED


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("question: A?", "Line 1"),
        ('{"question": "A?", "answer": "B."}\n{"question": "A?"}', "Line 2"),
        ('{"question": "A?", "answer": 5}', "Line 1"),
        ('{"question": "A?", "answer": " "}', "Line 1"),
        ("[]", "Line 1"),
        ('{"question": "A?", "answer": "B."}\n' * 51, "more than 50"),
    ],
)
def test_examples_that_are_none_are_refused(tmp_path, text, words):
    (tmp_path / "few.jsonl").write_text(text)
    with pytest.raises(ConfigurationError, match=words) as raised:
        roles(tmp_path, examples="few.jsonl")
    assert raised.value.hint


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"'Cook'.*missing\.jsonl"):
        roles(tmp_path, examples="missing.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b'{"question": "caf\xe9"}')
    with pytest.raises(ConfigurationError, match="UTF-8"):
        roles(tmp_path, examples="latin.jsonl")
