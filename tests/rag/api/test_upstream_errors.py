"""What a model server says when it fails is for who runs Footnote: no caller learns its address, key or words."""

from __future__ import annotations

import json

import httpx
import pytest
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from pydantic import SecretStr

from rag.auth.api_keys import ApiKeys
from rag.auth.users import Users
from tests.rag.api.conftest import api_settings
from tests.rag.api.serving import serving, write_documents
from tests.rag.models.model_server import ModelServer, chunk, events, running

KEY = "sk-of-the-house-0123456789"
LOGIN = "house:pa55word-of-the-house"
WORDS = "Zanzibar says"
QUESTION = "How often does the pump need oil?"
PUBLIC_HINT = "Its log says more to who runs this server."
SECRETS = (KEY, "house", "pa55word", WORDS, "127.0.0.1", "RAG_LLM", "API key", "api_key")


def said(request):
    return {"error": {"message": f"{WORDS}: {request.headers.get('authorization')} at {request.url}", "code": "odd"}}


def broken_stream(_, body):
    async def reply():
        yield chunk("The pump ")
        yield f"data: {json.dumps({'error': {'message': f'{WORDS}: {KEY}'}})}\n\n".encode()

    return events(reply())


def cut_stream(_, body):
    async def reply():
        yield chunk("The pump ")

    return events(reply())


FAILURES = {
    **{
        str(status): lambda request, _, status=status: JSONResponse(said(request), status)
        for status in (400, 401, 403, 404, 413, 422, 429, 500, 503)
    },
    "html": lambda *_: HTMLResponse(f"<html>{WORDS} {KEY}</html>", 502),
    "redirect": lambda *_: RedirectResponse(f"http://{LOGIN}@127.0.0.1:1/{WORDS}"),
    "too long": lambda *_: JSONResponse({"error": {"message": f"{WORDS}: maximum context length, {KEY}"}}, 400),
    "no JSON": lambda *_: HTMLResponse(f"<html>{WORDS} {KEY}</html>"),
    "half JSON": lambda *_: Response(f'data: {{"{WORDS} {KEY}\n\n', media_type="text/event-stream"),
    "in the middle": broken_stream,
    "cut off": cut_stream,
    "no stream": lambda *_: JSONResponse({"choices": WORDS, "key": KEY}),
}


@pytest.fixture(scope="module")
def model():
    with running(ModelServer()) as server:
        yield server


def settings_for(folder, model, *, closed):
    llm = {"provider": "openai", "base_url": model.base_url, "api_key": SecretStr(KEY), "script": ""}
    settings = api_settings(folder, **llm, first_token_timeout=0.5)
    auth = settings.auth.model_copy(update={"required": closed, "requests_per_minute": 0})
    return settings.model_copy(update={"auth": auth})


@pytest.fixture(scope="module")
def closed(tmp_path_factory, model):
    folder = tmp_path_factory.mktemp("closed")
    with serving(settings_for(folder, model, closed=True), [write_documents(folder / "documents")]) as served:
        database = served.services.catalog.database
        served.services.catalog.database.write("UPDATE collections SET is_public = 1")
        users, keys = Users(database), ApiKeys(database)
        anna, dora = users.add("anna").id, users.add("dora", is_admin=True).id
        limited = [served.services.catalog.collection().id]
        yield {
            "url": served.url,
            "anna": keys.create(anna),
            "dora": keys.create(dora),
            "limited": keys.create(dora, collections=limited),
        }


@pytest.fixture(scope="module")
def opened(tmp_path_factory, model):
    folder = tmp_path_factory.mktemp("open")
    with serving(settings_for(folder, model, closed=False), [write_documents(folder / "documents")]) as served:
        yield served.url


def ask_everywhere(url, key):
    """What every route that asks the model says."""
    chat = {"model": "footnote/default", "messages": [{"role": "user", "content": QUESTION}]}
    asked = [
        ("/v1/chat/completions", chat),
        ("/v1/chat/completions", {**chat, "stream": True}),
        ("/v1/completions", {"model": "footnote/default", "prompt": QUESTION}),
        ("/v1/responses", {"model": "footnote/default", "input": QUESTION}),
        ("/v1/responses", {"model": "footnote/default", "input": QUESTION, "stream": True}),
        ("/api/v1/chat", {"prompt": QUESTION}),
        ("/api/v1/generate", {"inputs": QUESTION}),
    ]
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with httpx.Client(base_url=url, trust_env=False, timeout=60, headers=headers) as http:
        for path, body in asked:
            yield path, http.post(path, json=body)
        for path in ("/readyz", "/v1/models", "/openapi.json"):
            yield path, http.get(path)


@pytest.mark.parametrize("failure", FAILURES)
def test_a_caller_is_told_that_it_failed_and_nothing_of_the_model_server(closed, model, failure):
    model.reply = FAILURES[failure]
    for who in ("anna", "limited"):
        for path, response in ask_everywhere(closed["url"], closed[who]):
            text = response.text.replace(closed["url"], "")  # the caller's own address, in the links of citations
            assert not [secret for secret in SECRETS if secret in text and path != "/openapi.json"], (path, text)
            if path.startswith("/v1/chat") and failure != "no stream":
                assert any(words in text for words in ("anguage model", "longer than", "no JSON")), text


def test_an_admin_gets_the_hint_and_neither_key_nor_words(closed, model, caplog):
    model.reply = FAILURES["401"]
    chat = {"model": "footnote/default", "messages": [{"role": "user", "content": QUESTION}]}
    headers = {"Authorization": f"Bearer {closed['dora']}"}
    error = httpx.post(f"{closed['url']}/v1/chat/completions", json=chat, headers=headers, timeout=30).json()["error"]
    assert "RAG_LLM__API_KEY" in error["hint"]
    assert not [secret for secret in (KEY, LOGIN, WORDS) if secret in json.dumps(error)]
    headers = {"Authorization": f"Bearer {closed['anna']}"}
    error = httpx.post(f"{closed['url']}/v1/chat/completions", json=chat, headers=headers, timeout=30).json()["error"]
    assert error["hint"] == PUBLIC_HINT
    assert (error["code"], error["type"]) == ("backend_rejected", "invalid_request_error")
    assert WORDS in caplog.text, "the log has the words"
    assert "RAG_LLM__API_KEY" in caplog.text
    assert KEY not in caplog.text


@pytest.mark.parametrize("failure", ["html", "no JSON", "half JSON"])
def test_a_reply_that_is_no_json_is_a_bad_gateway_and_stands_in_the_log(closed, model, caplog, failure):
    model.reply = FAILURES[failure]
    chat = {"model": "footnote/default", "messages": [{"role": "user", "content": QUESTION}]}
    headers = {"Authorization": f"Bearer {closed['anna']}"}
    response = httpx.post(f"{closed['url']}/v1/chat/completions", json=chat, headers=headers, timeout=30)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (502, "unreadable_reply")
    assert error["message"].startswith("The model server's reply was no JSON.")
    assert WORDS in caplog.text
    assert KEY not in caplog.text


@pytest.mark.parametrize("failure", FAILURES)
def test_the_owner_of_an_open_server_gets_the_hint_and_neither_key_nor_words(opened, model, failure):
    model.reply = FAILURES[failure]
    for path, response in ask_everywhere(opened, ""):
        assert not [secret for secret in (KEY, LOGIN, WORDS) if secret in response.text], (path, response.text)
    if failure == "401":
        chat = {"model": "footnote/default", "messages": [{"role": "user", "content": QUESTION}]}
        error = httpx.post(f"{opened}/v1/chat/completions", json=chat, timeout=30).json()["error"]
        assert "RAG_LLM__API_KEY" in error["hint"]


def test_a_server_that_is_gone_is_no_address(closed, model, tmp_path):
    gone = settings_for(tmp_path, model, closed=True)
    llm = gone.llm.model_copy(update={"base_url": f"http://{LOGIN}@127.0.0.1:9/v1", "api_key": SecretStr("")})
    with serving(gone.model_copy(update={"llm": llm}), [write_documents(tmp_path / "documents")]) as served:
        key = ApiKeys(served.services.catalog.database).create(Users(served.services.catalog.database).add("anna").id)
        for path, response in ask_everywhere(served.url, key):
            text = response.text.replace(served.url, "")
            assert not [secret for secret in SECRETS if secret in text and path != "/openapi.json"], (path, text)
