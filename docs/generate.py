"""Writes the generated parts of the documentation (`make docs`): rooms, modules, settings; each between its markers."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from rag.settings import known_names

ROOT = Path(__file__).parent.parent
ROOMS = (
    "ingest",
    "rag/cli",
    "rag/ui",
    "rag/api",
    "rag/evaluation",
    "rag/operations",
    "rag/answering",
    "rag/retrieval",
    "rag/auth",
    "rag/index",
    "rag/models",
    "rag/storage",
)
GROUND = ("rag/telemetry", "rag/text", "rag/types")


def rooms_table() -> str:
    """Every room with the sentence that opens it, from the top down; what all may use is one line."""
    rows = ["| room | what it is for |", "|---|---|"]
    rows += [f"| `{room}/` | {_purpose(ROOT / room / '__init__.py')} |" for room in ROOMS]
    ground = ", ".join(f"`{name}/`" for name in GROUND)
    rows.append(f"| {ground}, `rag/concurrency.py`, `rag/settings.py`, `rag/errors.py` | What every room may use. |")
    return "\n".join(rows) + "\n"


def module_map() -> str:
    """Every module with the sentence that opens it, folder by folder."""
    rows = ["| file | what it is for |", "|---|---|", f"| `app.py` | {_purpose(ROOT / 'app.py')} |"]
    for package in sorted([*(ROOT / "ingest").rglob("__init__.py"), *(ROOT / "rag").rglob("__init__.py")]):
        folder = package.parent.relative_to(ROOT).as_posix()
        for file in sorted(package.parent.glob("*.py")):  # `__init__.py` comes first
            where = f"**`{folder}/`**" if file.name == "__init__.py" else f"`{folder}/{file.name}`"
            rows.append(f"| {where} | {_purpose(file)} |")
    return "\n".join(rows) + "\n"


def settings_table() -> str:
    """Every setting with its default and what it does."""
    rows = ["| setting | default | what it does |", "|---|---|---|"]
    for name, (default, description) in known_names().items():
        rows.append(f"| `{name}` | {_shown(default)} | {description.replace('|', '&#124;')} |")
    return "\n".join(rows) + "\n"


GENERATED: dict[str, tuple[str, Callable[[], str]]] = {
    "README.md": ("rooms", rooms_table),
    "docs/architecture.md": ("modules", module_map),
    "docs/settings.md": ("settings", settings_table),
}


def with_generated(page: str, text: str) -> str:
    """The text of a page with today's table between its markers. Raises ValueError when a marker is missing."""
    name, table = GENERATED[page]
    begin, end = f"<!-- {name}: written by `make docs` -->\n", f"<!-- end of {name} -->\n"
    before = text.index(begin) + len(begin)
    return f"{text[:before]}\n{table()}\n{text[text.index(end, before) :]}"


def _purpose(file: Path) -> str:
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    paragraph = " ".join(docstring.partition("\n\n")[0].split())
    return re.split(r"(?<=\.)\s", paragraph)[0].replace("|", "\\|")


def _shown(default: Any) -> str:
    text = default.get_secret_value() if isinstance(default, SecretStr) else str(default)
    return f"`{text}`" if text else ""


if __name__ == "__main__":
    for page in GENERATED:
        path = ROOT / page
        path.write_text(with_generated(page, path.read_text(encoding="utf-8")), encoding="utf-8")
