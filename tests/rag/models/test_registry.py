"""The language models by name: which there are, when they are opened, and how they end."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from rag.errors import BackendUnavailable, ConfigurationError, NotFound
from rag.models.llm import open_language_model
from rag.models.models_file import load_models_file
from rag.models.registry import LanguageModels
from rag.settings import Settings
from rag.types.chat import Sampling
from rag.types.documents import Message
from tests.rag.models.model_server import ModelServer, ask, running, text_of
from tests.tiny_gguf import write_tiny_gguf

THREE = """
default = "b"
fallback = ["b", "a"]
[[model]]
name = "a"
provider = "scripted"
script = "from a"
[[model]]
name = "b"
provider = "scripted"
script = "from b"
temperature = 0.9
system_prompt = "Be brief."
[[model]]
name = "hidden"
provider = "scripted"
script = "from hidden"
visible = false
"""
MADE = (
    "made = []\ndef make():\n    made.append(1)\n    from llama_index.core.llms import MockLLM\n    return MockLLM()\n"
)


@pytest.fixture
def models(tmp_path):
    """Opens the models of a file with the given text; closes them after the test."""
    opened = []

    def open_models(text: str, **llm):
        (tmp_path / "models.toml").write_text(text, encoding="utf-8")
        settings = Settings(_env_file=None, models={"file": str(tmp_path / "models.toml")}, llm=llm)
        opened.append(LanguageModels(settings, load_models_file(settings)))
        return opened[-1]

    yield open_models
    for each in opened:
        each.close()


def _said(model) -> str:
    return text_of(asyncio.run(ask(model, Message("user", "?"))))


def test_models_are_asked_by_their_names(models):
    three = models(THREE)
    assert [_said(three.get(name)) for name in ("a", "b", "hidden", "")] == [
        "from a",
        "from b",
        "from hidden",
        "from b",
    ]
    assert three.get("b") is three.get("")
    assert (three.get("b").name, three.get("b").system_prompt) == ("b", "Be brief.")
    assert three.get("b").sampling == Sampling(max_tokens=1024, temperature=0.9)


def test_what_is_offered_begins_with_the_default(models):
    three = models(THREE)
    assert three.default_name == "b"
    assert three.names == ["b", "a"]
    assert list(three.described) == ["a", "b", "hidden"]
    assert list(three.file.fallback) == ["b", "a"]


def test_the_first_model_is_the_default_where_none_is_named(models):
    assert models(THREE.replace('default = "b"', "")).default_name == "a"


def test_an_unknown_name_is_said_with_those_there_are(models):
    with pytest.raises(NotFound, match="There is no model 'x'") as raised:
        models(THREE).get("x")
    assert raised.value.hint == "There are: b, a."
    with pytest.raises(NotFound):
        models("", provider="scripted").get("x")


def test_without_a_file_there_is_the_model_of_the_settings(models):
    one = models("", provider="scripted", script="alone")
    assert (one.default_name, one.names, list(one.described), list(one.file.fallback)) == (
        "scripted",
        ["scripted"],
        ["scripted"],
        [],
    )
    assert one.get() is one.get("scripted")
    assert _said(one.get()) == "alone"
    assert models("", provider="scripted", name="mine").names == ["mine"]


def test_a_model_is_opened_once_and_only_when_it_is_asked_for(models, tmp_path, monkeypatch):
    (tmp_path / "counted_models.py").write_text(MADE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    two = models(f'{THREE}[[model]]\nname = "made"\nprovider = "counted_models:make"\n')
    two.get()
    from counted_models import made

    assert made == []
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: two.get("made"), range(8)))
    assert made == [1]
    assert all(model is opened[0] for model in opened)


def test_a_model_that_is_opened_is_there_while_another_is_being_opened(models, tmp_path, monkeypatch):
    slow = "import threading\ngo_on = threading.Event()\ndef make():\n    go_on.wait(5)\n"
    (tmp_path / "slow_models.py").write_text(slow, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    two = models(f'{THREE}[[model]]\nname = "slow"\nprovider = "slow_models:make"\n')
    two.get("a")
    with ThreadPoolExecutor(2) as pool:
        opening = pool.submit(two.get, "slow")
        threading.Event().wait(0.1)
        assert pool.submit(two.get, "a").result(1).name == "a"
        import slow_models

        slow_models.go_on.set()
        with pytest.raises(ConfigurationError, match="not an LLM"):
            opening.result(5)


def test_a_model_that_cannot_be_opened_spoils_no_other_and_is_tried_again(models, tmp_path):
    two = models(f'{THREE}[[model]]\nname = "file"\nprovider = "llama_cpp"\nmodel = "late.gguf"\n')
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: make setup EXTRAS=llama-cpp")
    with pytest.raises(ConfigurationError, match=r"There is no file .*late\.gguf"):
        two.get("file")
    assert _said(two.get("a")) == "from a"
    write_tiny_gguf(tmp_path / "late.gguf", "Hello")  # beside models.toml, wherever the program was started
    assert _said(two.get("file")) == "Hello"


def test_servers_are_told_their_own_keys(models, monkeypatch):
    monkeypatch.setenv("KEY_A", "sk-a")
    monkeypatch.setenv("KEY_B", "sk-b")
    with running(ModelServer()) as a, running(ModelServer()) as b:
        text = "".join(
            f'[[model]]\nname = "{name}"\nbase_url = "{server.base_url}"\napi_key_env = "KEY_{name}"\n'
            for name, server in (("A", a), ("B", b))
        )
        two = models(text, api_key="sk-of-the-settings")
        for name in "AB":
            _said(two.get(name))
        assert {headers["authorization"] for headers in a.headers} == {"Bearer sk-a"}
        assert {headers["authorization"] for headers in b.headers} == {"Bearer sk-b"}


def test_a_key_that_is_missing_is_said_when_the_model_is_asked_for(models):
    text = f'{THREE}[[model]]\nname = "c"\nbase_url = "http://127.0.0.1:9/v1"\napi_key_env = "NO_KEY"'
    three = models(text)
    with pytest.raises(ConfigurationError, match="NO_KEY is not set"):
        three.get("c")
    assert _said(three.get()) == "from b"


def test_closing_closes_every_model(models, tmp_path):
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: make setup EXTRAS=llama-cpp")
    write_tiny_gguf(tmp_path / "tiny.gguf", "Hello")
    two = models('[[model]]\nname = "a"\nmodel = "tiny.gguf"\n[[model]]\nname = "b"\nmodel = "tiny.gguf"\n')
    opened = [two.get("a"), two.get("b")]
    two.close()
    for model in opened:
        with pytest.raises(BackendUnavailable, match="is closed"):
            _said(model)


def test_closing_closes_the_model_of_the_settings(tmp_path):
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: make setup EXTRAS=llama-cpp")
    path = write_tiny_gguf(tmp_path / "tiny.gguf", "Hello")
    settings = Settings(_env_file=None, llm={"model": str(path)})
    with closing(LanguageModels(settings, load_models_file(settings))) as one:
        model = one.get()
        assert _said(model) == "Hello"
    with pytest.raises(BackendUnavailable, match="is closed"):
        _said(model)


def test_a_name_in_the_settings_is_the_models_name():
    assert open_language_model(Settings(_env_file=None, llm={"provider": "scripted", "name": "n"})).name == "n"


def test_a_server_that_is_started_later_is_found(tmp_path):
    def found(provider="auto"):
        return LanguageModels(Settings(_env_file=None, llm={"provider": provider}), load_models_file(Settings()))

    with closing(found()) as models, closing(found("quotes")) as without:
        if models.get().llm is not None:
            pytest.skip("a model server runs on one of the usual ports of this machine")
        assert not models.look_again()
        server = ModelServer()
        server.port = 1234  # LM Studio's
        with running(server):
            assert models.look_again()
            assert models.default_name == "tiny"
            assert models.get("tiny").llm is not None
            assert not models.look_again(), "what was found is kept"
            assert not without.look_again(), "nobody asked for one"
