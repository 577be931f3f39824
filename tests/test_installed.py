"""The wheel is the product: built, unpacked outside of the clone, it serves its sample, answers, and shows its page."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import httpx
import pytest

from tests.conformance.server import free_port

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
BUILD = "import sys; from setuptools.build_meta import build_wheel; print(build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with what the wheel installs, as site-packages would have it."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for name in ("ingest", "rag", "data"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-W", "ignore", "-c", BUILD, str(target)]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=120)
    (wheel,) = target.glob("footnote-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    wheel.unlink()
    return target


@pytest.fixture
def environment(site, tmp_path):
    """Nothing of the clone can be found, and the home is empty."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("RAG_", "XDG_"))}
    return {**inherited, "PYTHONPATH": str(site), "HOME": str(tmp_path), "RAG_LLM__PROVIDER": "quotes"}


def run(environment, folder, *arguments):
    command = [sys.executable, "-m", "rag", *arguments]
    return subprocess.run(
        command, env=environment, cwd=folder, check=True, capture_output=True, text=True, timeout=120
    ).stdout


def test_the_installed_package_serves_its_sample(site, environment, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert run(environment, elsewhere, "--version") == "Footnote 0.1.0\n"
    port = str(free_port())
    command = [sys.executable, "-m", "rag", "serve", "--sample"]
    with subprocess.Popen(
        command,
        env={**environment, "RAG_SERVER__PORT": port},
        cwd=elsewhere,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            _wait_until_ready(process, url)
            body = {"model": "footnote/default", "messages": [{"role": "user", "content": "When is payday?"}]}
            answer = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60).json()
            assert "26th" in answer["choices"][0]["message"]["content"]
            assert answer["citations"][0]["source"].startswith(str(site))
            page = httpx.get(url, timeout=60)
            assert page.status_code == 200
            assert "Footnote" in page.text
            for path in (
                "/library",
                "/public/library.js",
                "/public/chat.css",
                "/public/elements/Footnote.jsx",
                "/docs",
            ):
                assert httpx.get(f"{url}{path}", timeout=60).status_code == 200, path
        finally:
            process.terminate()
            output, _ = process.communicate(timeout=60)
    storage = tmp_path / ".local" / "share" / "footnote" / "storage"
    assert str(storage) in output
    assert (storage / "catalog.sqlite3").is_file()
    assert list(elsewhere.iterdir()) == []
    first, *_ = run(environment, elsewhere, "search", "payday", "--json").splitlines()
    assert json.loads(first)["source"].startswith(str(site)), "the commands find the same storage"


def _wait_until_ready(process: subprocess.Popen[str], url: str) -> None:
    for _ in range(1200):
        assert process.poll() is None, process.communicate()
        try:
            if httpx.get(f"{url}/healthz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise TimeoutError(url)


def test_a_clone_keeps_its_storage_beside_itself():
    from rag.settings import default_storage

    assert default_storage() == Path("storage")
