"""The rooms of the code: what one takes from another stands in the other's face (`__all__` of its `__init__.py`)."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted([*(ROOT / "rag").rglob("*.py"), *(ROOT / "ingest").rglob("*.py"), ROOT / "app.py"])
AT_THE_ROOT = 4  # modules of `rag` that lie in no room


def imports_of(module):
    """The modules and packages that a file imports, dotted: those of the project, as far as files are there."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in ("rag", "ingest"))
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in ("rag", "ingest"):
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if is_module(name) else node.module for name in inner)


def is_module(name):
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or path.is_dir()


@cache
def face_of(package):
    """The names of the modules and packages in it that others may import."""
    tree = ast.parse(ROOT.joinpath(*package.split("."), "__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__":
            return frozenset(ast.literal_eval(node.value))
    return frozenset()


def own_names(file):
    """What the file binds at its top level."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            yield from (target.id for target in getattr(node, "targets", [getattr(node, "target", None)]))
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name


def private_parts(importer, imported):
    """What an import reaches past the face of each package that the importer is not part of."""
    parts = imported.split(".")
    for length in range(1, len(parts)):
        package = ".".join(parts[:length])
        if not f"{importer}.".startswith(f"{package}.") and length > 1 and parts[length] not in face_of(package):
            yield f"{package}.{parts[length]}"


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(ROOT)))
def test_only_what_a_room_offers_is_imported_from_it(module):
    importer = ".".join(module.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    private = {part for imported in imports_of(module) for part in private_parts(importer, imported)}
    assert not private, f"{importer} imports what is private: {private}"


def test_a_face_names_what_is_there():
    for file in (file for file in MODULES if file.name == "__init__.py"):
        package = ".".join(file.parent.relative_to(ROOT).parts)
        assert all(is_module(f"{package}.{name}") or name in own_names(file) for name in face_of(package)), package


def test_few_modules_lie_in_no_room():
    modules = {path.name for path in (ROOT / "rag").glob("*.py")} - {"__main__.py"}
    assert len(modules) <= AT_THE_ROOT
