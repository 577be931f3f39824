"""The Python example of docs/vector-stores.md, run as it is printed, but for the address."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.rag.api.conftest import api_settings
from tests.rag.api.serving import serving

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def sample_server(tmp_path_factory):
    with serving(api_settings(tmp_path_factory.mktemp("examples")), []) as served:
        yield served


def test_the_example_runs(sample_server, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    code, *others = re.findall(r"```python\n(.*?)```", (ROOT / "docs/vector-stores.md").read_text(), re.DOTALL)
    names = re.findall(r'Path\("([^"]+)"', code)
    assert names
    assert all(Path(name).exists() for name in names)
    assert "http://127.0.0.1:8000" in code
    exec(compile(code.replace("http://127.0.0.1:8000", sample_server.url), "example", "exec"), {})
    shown = capsys.readouterr().out
    assert "E05" in shown
    assert Path(names[0]).name in shown
    for other in others:
        assert "http://127.0.0.1:8000" in other
        exec(compile(other.replace("http://127.0.0.1:8000", sample_server.url), "example", "exec"), {})
        assert capsys.readouterr().out.strip()
