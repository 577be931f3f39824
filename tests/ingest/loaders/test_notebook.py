"""Notebooks: cells in order under the headings of their Markdown."""

from __future__ import annotations

import json

import pytest

from rag.errors import UnreadableDocument
from tests.ingest.loaders.documents import headings, load, texts

PICTURE = {"output_type": "display_data", "data": {"image/png": "iVBORw0KGgo=" * 100, "text/plain": ["<Figure>"]}}
FENCE = "```"


def load_notebook(tmp_path, cells, **more):
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells, "nbformat": 4, **more}))
    return load(tmp_path / "a.ipynb")


def code(source, *outputs):
    return {"cell_type": "code", "source": source, "outputs": list(outputs)}


def markdown(source):
    return {"cell_type": "markdown", "source": source}


def test_comments_in_markdown_cells_are_no_text(tmp_path):
    document = load_notebook(tmp_path, [markdown("Seen.<!-- hidden -->"), code("# <!-- code -->")])

    assert texts(document) == ["Seen.\n\n", "```python\n# <!-- code -->\n```\n\n"]


def test_code_and_outputs_stand_under_the_headings(tmp_path):
    document = load_notebook(
        tmp_path,
        [
            markdown(["# Kilns\n", "Intro.\n", "## Heat\n", "Hot ![x](data:image/png;base64,", "A" * 200 + ")"]),
            code(["x = 1\n", "x"], {"output_type": "stream", "text": ["\x1b[31mred\x1b[0m\n"]}, PICTURE),
            code(
                "1/0", {"output_type": "error", "ename": "ZeroDivisionError", "evalue": "by zero", "traceback": ["…"]}
            ),
            markdown("# End"),
            code("print()", {"output_type": "stream", "text": "y" * 5000}),
        ],
        metadata={"kernelspec": {"language": "julia"}},
    )

    assert document.title == "Kilns"
    assert headings(document) == ["Kilns", "Kilns › Heat", "End"]
    assert texts(document)[0] == "# Kilns\nIntro.\n\n"
    assert texts(document)[1].split("\n\n") == [
        "## Heat\nHot ![x]()",
        f"{FENCE}julia\nx = 1\nx\n{FENCE}",
        "Output:\nred",
        "Output:\n<Figure>",
        f"{FENCE}julia\n1/0\n{FENCE}",
        "Output:\nZeroDivisionError: by zero",
        "",
    ]
    assert texts(document)[2].count("y") == 2000


def test_without_headings_the_cells_are_numbered(tmp_path):
    document = load_notebook(tmp_path, [code(""), code("a = 1"), markdown("A note.")])

    assert list(zip(headings(document), texts(document), strict=True)) == [
        ("cell 2", f"{FENCE}python\na = 1\n{FENCE}\n\n"),
        ("cell 3", "A note.\n\n"),
    ]


def test_old_notebooks_are_read(tmp_path):
    cells = [
        {"cell_type": "heading", "level": 2, "source": "Old"},
        {"cell_type": "code", "input": "a", "outputs": [{"output_type": "pyout", "text": ["1"]}]},
    ]
    document = load_notebook(tmp_path, [], worksheets=[{"cells": cells}])

    assert (headings(document), "Output:\n1\n" in texts(document)[0]) == (["Old"], True)


@pytest.mark.parametrize("text", ['{"cells": [{"cell_type"', "[1]", "{}", '{"cells": 5}', "[" * 100_000])
def test_what_is_no_notebook_is_refused(tmp_path, text):
    (tmp_path / "a.ipynb").write_text(text)

    with pytest.raises(UnreadableDocument, match="not a Jupyter notebook"):
        load(tmp_path / "a.ipynb")
