"""Telling model servers from whatever else listens, and choosing among them."""

from __future__ import annotations

import pytest
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse

from rag.errors import ConfigurationError
from rag.models.llm import _open_first, open_language_model
from rag.models.openai.discovery import (
    parameters_named,
    probe_model_servers,
    probe_server,
    shown_address,
    trusts_environment,
)
from rag.settings import Settings
from tests.rag.models.model_server import ModelServer, running


@pytest.fixture
def server():
    with running(ModelServer()) as server:
        yield server


def _listing(*names, **more):
    return JSONResponse({"object": "list", "data": [{"id": name, "object": "model", **more} for name in names]})


def test_a_model_server_tells_its_models_and_its_window(server):
    probe = probe_server(server.base_url, name="vLLM")
    assert (probe.name, probe.reachable, probe.models, probe.context_window) == ("vLLM", True, ("tiny",), 2048)
    assert probe.problem == ""


def test_models_that_cannot_chat_are_passed_over(server):
    server.models = _listing("nomic-embed-text", "BAAI/bge-m3", "all-minilm", "qwen3:8b", "whisper-1")
    assert probe_server(server.base_url).models == ("qwen3:8b",)
    server.models = _listing("text-embedding-3-small")
    assert probe_server(server.base_url).problem == "it lists no model to chat with"


def test_a_name_without_tag_is_the_latest_one(server):
    server.models = JSONResponse(
        {"data": [{"id": "llama3.1:8b"}, {"id": "llama3.1:latest", "max_model_len": 3072}, {"id": "tiny"}]}
    )
    probe = probe_server(server.base_url, model="llama3.1")
    assert probe.context_window == 3072
    assert probe_server(server.base_url, model="llama3.1:latest").context_window == 3072
    assert probe_server(server.base_url, model="llama3").context_window == 0
    settings = Settings(_env_file=None, llm={"model": "llama3.1"})
    assert _open_first([probe], settings).name == "llama3.1"
    assert _open_first([probe], Settings(_env_file=None, llm={"model": "llama3"})).llm is None


@pytest.mark.parametrize(
    "answer",
    [
        HTMLResponse("<html>a web page</html>"),
        JSONResponse({"detail": "Not Found"}, 404),
        PlainTextResponse("{not json"),
        PlainTextResponse("[" * 100_000),
        PlainTextResponse("x" * (2 << 20)),
        JSONResponse([1, 2]),
        JSONResponse({"data": "models"}),
        JSONResponse({"data": [{"name": "no id"}]}),
        JSONResponse({"data": [None]}),
        JSONResponse({"error": "Unauthorized"}, 401),
        JSONResponse({"error": {"message": "Loading model"}}, 503),
        RedirectResponse("http://127.0.0.1:1/v1/models"),
        JSONResponse({"data": [{"id": "footnote", "owned_by": "footnote"}]}),
    ],
)
def test_anything_else_is_not_a_model(server, answer):
    server.models = answer
    probe = probe_server(server.base_url)
    assert probe.models == ()
    assert probe.reachable
    assert probe.problem


def test_nothing_there_is_said_quickly():
    probe = probe_server(ModelServer().base_url)
    assert (probe.reachable, probe.problem) == (False, "nothing answers there")


def test_a_configured_server_is_the_one_that_is_probed(server):
    settings = Settings(_env_file=None, llm={"base_url": server.base_url})
    (probe,) = probe_model_servers(settings)
    assert (probe.name, probe.models) == ("configured", ("tiny",))
    assert open_language_model(settings).provider == "openai"


def test_the_usual_ports_are_probed_without_the_own_one_and_without_the_key():
    settings = Settings(_env_file=None, server={"port": 8080}, llm={"api_key": "secret"})
    probes = probe_model_servers(settings)
    assert [probe.name for probe in probes] == ["vLLM", "Ollama", "LM Studio"]


def test_auto_takes_the_first_server_that_lists_the_model_and_gives_it_no_key(server):
    settings = Settings(_env_file=None, llm={"api_key": "secret"})
    with running(ModelServer()) as foreign, running(ModelServer()) as second:
        foreign.models = HTMLResponse("<html>")
        second.models = _listing("qwen3:8b")
        ports = [("dead", ModelServer().port), ("page", foreign.port), ("first", server.port), ("second", second.port)]
        probes = probe_model_servers(settings, ports)
        assert [probe.models for probe in probes] == [(), (), ("tiny",), ("qwen3:8b",)]
        assert _open_first(probes, settings).llm.base_url == server.base_url
        wanted = settings.model_copy(update={"llm": settings.llm.model_copy(update={"model": "qwen3:8b"})})
        assert _open_first(probes, wanted).llm.base_url == second.base_url
        assert "secret" not in str(server.headers + foreign.headers + second.headers)
        nowhere = settings.model_copy(update={"llm": settings.llm.model_copy(update={"model": "gpt-9"})})
        assert "has the model gpt-9" in _open_first(probes, nowhere).description
        assert _open_first(probes[:2], settings).llm is None


def test_auto_takes_a_gguf_for_llama_cpp(tmp_path):
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: make setup EXTRAS=llama-cpp")
    with pytest.raises(ConfigurationError, match=r"There is no file .*model\.gguf"):
        open_language_model(Settings(_env_file=None, llm={"model": str(tmp_path / "model.gguf")}))


def test_addresses_are_shown_without_passwords():
    assert shown_address("https://me:secret@host:1/v1?key=secret") == "https://host:1/v1"


@pytest.mark.parametrize(
    ("address", "trusted"),
    [
        ("http://127.0.0.1:8000/v1", False),
        ("http://localhost/v1", False),
        ("http://[::1]:8000/v1", False),
        ("http://0.0.0.0:8000/v1", False),
        ("https://models.example.org/v1", True),
        ("http://10.0.0.7/v1", True),
    ],
)
def test_proxies_are_for_other_machines_only(address, trusted):
    assert trusts_environment(address) is trusted


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("qwen2.5-coder:1.5b-instruct-q4_K_M", 1_500_000_000),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", 135_000_000),
        ("llama3.2:1b", 1_000_000_000),
        ("mistralai/Mistral-7B-Instruct-v0.3", 7_000_000_000),
        ("mixtral-8x7b", 0),
        ("gpt-4o-mini", 0),
        ("phi3", 0),
        ("gemma-3n-e4b-it", 0),
        ("", 0),
    ],
)
def test_a_models_size_stands_in_its_name(name, parameters):
    assert parameters_named(name) == parameters
