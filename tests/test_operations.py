"""What docs and dashboard say of the figures: each one that they name exists."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest

from tests.rag.api.conftest import api_settings
from tests.rag.api.serving import serving, write_documents

ROOT = Path(__file__).parent.parent
DASHBOARD = json.loads((ROOT / "deploy" / "grafana-dashboard.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    """Name → names of labels, of a server that was asked something and took in a file that it could not read."""
    folder = tmp_path_factory.mktemp("operations")
    documents = write_documents(folder / "documents")
    with (
        serving(api_settings(folder), [documents]) as served,
        httpx.Client(base_url=served.url, trust_env=False) as http,
    ):
        (documents / "broken.pdf").write_bytes(b"no PDF")
        list(served.services.ingest.add_paths([documents], "default"))
        body = {"model": "scripted", "messages": [{"role": "user", "content": "How often does the pump need oil?"}]}
        assert http.post("/v1/chat/completions", json=body).status_code == 200
        assert http.get("/v1/nothing").status_code == 404
        text = http.get("/metrics").text
    found = {}
    for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? \S+$", text, re.MULTILINE):
        found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return found


def queries():
    targets = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    return targets + [v["definition"] for v in DASHBOARD["templating"]["list"] if "definition" in v]


@pytest.mark.parametrize("query", queries())
def test_the_dashboard_names_figures_and_labels_that_exist(query, figures):
    names = re.findall(r"\b(?:footnote|process)_\w+", query)
    assert names
    assert set(names) <= figures.keys()
    given_by_prometheus = {"job", "instance"}
    known = set().union(*(figures[name] for name in names)) | given_by_prometheus
    used = re.findall(r"(\w+)(?:=~|!=|=)\"", query)
    used += [label for group in re.findall(r"by \(([^)]*)\)", query) for label in group.split(", ")]
    assert set(used) <= known


def test_panels_do_not_lie_over_each_other():
    taken = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_the_page_names_figures_that_exist_and_all_of_them(figures):
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(footnote_\w+)", page)) | {
        f"footnote_ingest_{end}" for end in re.findall(r"`…_(\w+)`", page)
    }
    ours = {re.sub(r"_(bucket|sum|count)$", "", name) for name in figures if name.startswith("footnote_")}
    ours = {name for name in ours if not name.endswith("_created")}  # when it was first counted
    assert named == ours - {"footnote_info"}
