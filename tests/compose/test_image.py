"""The image: small, not root, without secrets, compilers and caches."""

from __future__ import annotations

import json
import re
import tomllib

import pytest

from tests.compose.stack import ROOT, docker

LARGEST = 2_500_000_000  # bytes


@pytest.fixture(scope="module")
def inspected(image):
    return json.loads(docker("image", "inspect", image))[0]


def test_its_size(inspected):
    assert inspected["Size"] < LARGEST


def test_who_it_is_and_how_it_is(inspected):
    config = inspected["Config"]
    assert re.fullmatch(r"\d+:\d+", config["User"])
    assert not config["User"].startswith("0")
    assert "/healthz" in " ".join(config["Healthcheck"]["Test"])
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    labels = {name.rpartition(".")[2]: value for name, value in config["Labels"].items()}
    assert (labels["version"], labels["revision"], labels["licenses"]) == (version, "test", "MIT")


def test_no_secrets_in_layers_and_history(image, inspected):
    history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image)
    told = history + json.dumps(inspected["Config"]["Env"])
    assert not re.search(r"(?i)(password|secret|token|api_?key)\s*=\s*\S", told)
    found = docker("run", "--rm", "--network", "none", image, "find", "/app", "-maxdepth", "2").split()
    kept = {name for name in found if name.startswith("/app/") and name.count("/") == 2}
    assert kept == {"/app/.venv", "/app/footnote", "/app/app.py"}
    named = docker(
        "run", "--rm", "--network", "none", "--user", "0", image, "find", "/", "-xdev",
        "(", "-name", ".env", "-o", "-name", "id_rsa*", "-o", "-name", ".netrc", "-o", "-name", ".git", ")",
    )  # fmt: skip
    assert named.split() == []


def test_nothing_that_it_does_not_need(image):
    script = (
        "for program in gcc g++ cc make cmake git uv hatch; do command -v $program; done; "
        "cd /app/.venv; ls -d bin/pip lib/python3*/site-packages/pytest /build /root/.cache /tmp/* 2>/dev/null; true"
    )
    assert docker("run", "--rm", "--network", "none", "--user", "0", image, "sh", "-c", script).split() == []


def test_it_embeds_without_a_network_and_writes_nowhere_else(image):
    script = (
        "from rag.models.embedding import open_embedding; from rag.settings import load_settings; "
        "print(open_embedding(load_settings().embedding).embed_query('a').shape)"
    )
    said = docker("run", "--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp", image, "python", "-c", script)
    assert said.strip() == "(384,)"


def test_text_recognition_and_postgresql_are_in_it(image):
    docker("run", "--rm", "--network", "none", image, "python", "-c", "import psycopg, rapidocr")
