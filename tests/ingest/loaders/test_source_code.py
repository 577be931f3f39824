"""Source code: every line once and verbatim, under the name of what it defines and its lines."""

from __future__ import annotations

import pytest

from rag.errors import UnreadableDocument
from tests.ingest.loaders.documents import headings, load, texts

BODY = "    x = 1\n" * 30


def load_code(tmp_path, name, source):
    (tmp_path / name).write_text(source, encoding="utf-8")
    document = load(tmp_path / name)
    assert "".join(texts(document)) == source
    return document


def test_python_is_cut_at_classes_methods_and_functions(tmp_path):
    method = BODY.replace("    ", "        ")
    source = f'"""Kilns."""\n\nimport os\n\n\n# Heats.\n@cache\ndef heat():\n{BODY}\n\nclass Kiln:\n    """Hot."""\n\n'
    source += f"    def open(self):\n{method}\n    async def close(self):\n{method}\n\n{BODY.replace('    ', '')}"

    document = load_code(tmp_path, "kiln_oven.py", source)

    assert document.title == "kiln_oven.py"
    assert headings(document) == [
        "lines 1–5",
        "def heat (lines 6–40)",
        "class Kiln › def open (lines 41–75)",
        "class Kiln › def close (lines 76–108)",
        "lines 109–138",
    ]


def test_short_neighbours_are_one_section_and_long_pieces_are_cut_at_blank_lines(tmp_path):
    short = load_code(tmp_path, "a.py", "def a():\n    pass\n\n\ndef b():\n    pass\n")
    long = load_code(tmp_path, "b.py", "def a():\n" + ("    x = 1\n" * 9 + "\n") * 20)

    assert headings(short) == ["def a, def b (lines 1–6)"]
    assert headings(long) == ["def a (lines 1–71)", "def a (lines 72–151)", "def a (lines 152–201)"]
    assert all(text.endswith("\n\n") for text in texts(long)[:1])


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        ("a.go", "package main\n\nfunc (k *Kiln) Heat(to int) error {\nBODY}\n", "func (k *Kiln) Heat(to int) error"),
        ("a.rs", "impl Kiln {\n    pub fn heat(&self) -> u8 {\nBODY    }\n}\n", "impl Kiln › pub fn heat(&self) -> u8"),
        ("A.java", "class Kiln {\n    void heat(int to)\n    {\nBODY    }\n}\n", "class Kiln › void heat(int to)"),
        ("a.ts", "import x;\nexport async function heat(to: any) {\nBODY}\n", "export async function heat(to: any)"),
        ("a.js", "'use strict';\nconst heat = async (to) => {\nBODY};\n", "const heat"),
        ("a.c", "struct kiln *\nfind(int at);\nint heat(kiln *k,\n         int to)\n{\nBODY}\n", "int heat(kiln *k"),
        ("a.rb", "module Hot\n  class A\n    def heat\nBODY    end\n  end\nend\n", "module Hot › class A › def heat"),
        ("a.sh", "set -e\nheat() {\nBODY}\n", "heat()"),
        ("a.sql", "-- Hot\ncreate or replace view kilns as\nBODY;\n", "create or replace view kilns as"),
        ("a.tf", 'resource "kiln" "hot" {\nBODY}\n', 'resource "kiln" "hot"'),
        ("a.toml", "x = 1\n[tool.kiln]\nBODY", "tool.kiln"),
        ("a.yaml", "# x\nservices:\nBODY", "services"),
        ("broken.py", "def heat(:\nBODY", "def heat("),
    ],
)  # fmt: skip
def test_definitions_of_other_languages_are_named(tmp_path, name, source, expected):
    document = load_code(tmp_path, name, source.replace("BODY", BODY))

    assert any(heading.startswith((f"{expected} (", f"{expected[:-1]} (")) for heading in headings(document)), headings(
        document
    )


def test_code_behind_a_class_does_not_belong_to_it(tmp_path):
    document = load_code(tmp_path, "a.js", f"class Kiln {{\n  heat() {{\n{BODY}  }}\n}}\n\nrun();\n{BODY}")

    assert headings(document) == ["class Kiln › heat() (lines 1–35)", "lines 36–66"]


def test_minified_files_and_binary_files_are_refused(tmp_path):
    (tmp_path / "a.min.js").write_text("var a=1;" * 5000)
    (tmp_path / "b.py").write_bytes(bytes(range(256)) * 10)

    with pytest.raises(UnreadableDocument, match="minified"):
        load(tmp_path / "a.min.js")
    with pytest.raises(UnreadableDocument, match="not a text file"):
        load(tmp_path / "b.py")


def test_very_long_lines_are_read(tmp_path):
    load_code(tmp_path, "dump.sql", "INSERT INTO kilns VALUES " + "(1, 'hot'), " * 100_000)
    load_code(tmp_path, "odd.go", "a " * 100_000 + "(\n" + "(" * 100_000 + "\n" + " " * 100_000 + "x\n")
