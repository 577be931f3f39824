"""Writes the generated parts of README.md, the map of the modules and the table of settings (`make docs`)."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from rag.settings import known_names

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


def with_generated(readme: str) -> str:
    """`readme` with today's map and settings between their markers. Raises ValueError when a marker is missing."""
    for name, content in (("map", module_map()), ("settings", settings_table())):
        begin, end = f"<!-- {name}: written by `make docs` -->\n", f"<!-- end of {name} -->\n"
        before = readme.index(begin) + len(begin)
        readme = f"{readme[:before]}\n{content}\n{readme[readme.index(end, before) :]}"
    return readme


def settings_table() -> str:
    """Every setting with its default and what it does."""
    rows = ["| setting | default | what it does |", "|---|---|---|"]
    for name, (default, description) in known_names().items():
        rows.append(f"| `{name}` | {_shown(default)} | {description.replace('|', '&#124;')} |")
    return "\n".join(rows) + "\n"


def module_map() -> str:
    """Every module with the sentence that opens it, folder by folder."""
    rows = ["| file | what it is for |", "|---|---|", f"| `app.py` | {_purpose(ROOT / 'app.py')} |"]
    for package in sorted([*(ROOT / "ingest").rglob("__init__.py"), *(ROOT / "rag").rglob("__init__.py")]):
        folder = package.parent.relative_to(ROOT).as_posix()
        for file in sorted((ROOT / folder).glob("*.py")):  # `__init__.py` comes first
            where = f"**`{folder}/`**" if file.name == "__init__.py" else f"`{folder}/{file.name}`"
            rows.append(f"| {where} | {_purpose(file)} |")
    return "\n".join(rows) + "\n"


def _purpose(file: Path) -> str:
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    paragraph = " ".join(docstring.partition("\n\n")[0].split())
    return re.split(r"(?<=\.)\s", paragraph)[0].replace("|", "\\|")


def _shown(default: Any) -> str:
    text = default.get_secret_value() if isinstance(default, SecretStr) else str(default)
    return f"`{text}`" if text else ""


if __name__ == "__main__":
    README.write_text(with_generated(README.read_text(encoding="utf-8")), encoding="utf-8")
