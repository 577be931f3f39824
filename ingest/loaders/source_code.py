"""Source code and settings files: the text as it is, a section for each definition, named with its lines.

Python is cut by its own parser. For other languages the first lines of definitions are recognised by their words and
their indentation; where that is wrong a name is wrong, never the text or the line numbers.
"""

from __future__ import annotations

import ast
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path, PurePath

from ingest.loaders.base import (
    HEADING_SEPARATOR,
    LONGEST_HEADING,
    Extracted,
    Limits,
    printable,
    shortened,
    squeeze,
    unreadable,
)
from ingest.loaders.encoding import decode
from rag.types.documents import Section

# No style sheets, no lock files: nobody asks them anything, and saved web pages and packages are full of them.
SOURCE_CODE_SUFFIXES = (
    *(".py", ".pyi", ".js", ".mjs", ".cjs", ".jsx", ".ts", ".tsx", ".vue", ".svelte", ".dart", ".swift", ".php", ".rb"),
    *(".java", ".kt", ".kts", ".scala", ".groovy", ".gradle", ".cs", ".fs", ".vb", ".go", ".rs", ".hs", ".clj", ".jl"),
    *(".c", ".h", ".cc", ".cpp", ".cxx", ".hh", ".hpp", ".lua", ".pl", ".pm", ".r", ".ex", ".exs", ".erl", ".cmake"),
    *(".sh", ".bash", ".zsh", ".ps1", ".bat", ".sql", ".proto", ".graphql", ".tf", ".toml", ".yaml", ".yml", ".ini"),
    *(".cfg", ".conf", ".properties"),
)

_LONGEST_SECTION = 80  # lines; beyond that the lines in a heading say too little
_SHORTEST_SECTION = 25  # lines; neighbours that are shorter are one section
_LONGEST_LABEL = 80  # characters
_MINIFIED = (".js", ".mjs", ".cjs")
_MINIFIED_LINE = 1000  # characters of an average line

_CONTAINER = (
    r"(?:(?:class|interface|trait|impl|object|protocol|extension|module|defmodule|namespace|service)\b"
    r"|(?:struct|union|enum)\b(?![^{;]*\())"  # in C, what a function returns may be called "struct x", too
)
_MODIFIER = (
    r"(?:(?:export|default|declare|public|private|protected|internal|static|abstract|final|sealed|open|override|async"
    r"|unsafe|extern|inline|virtual|partial|data|case|local|suspend|companion|readonly|pub(?:\([\w ]+\))?)\s+)"
)
_FUNCTION = r"(?:func|function|fn|fun|def|defp|defmacro|sub|proc|type|typedef|record|message|rpc|macro)\s+\S"
_KEYWORD = (
    r"(?:if|else|for|foreach|while|switch|case|return|new|throw|delete|await|assert|using|import|from|do|try|catch)\b"
)
_DEFINITIONS = re.compile(
    rf"{_MODIFIER}*+(?:{_CONTAINER}|{_FUNCTION})"  # most languages
    rf"|(?!{_KEYWORD})(?:[A-Za-z_][\w<>:*&\[\],.?]*\s+)+[*&]*[\w:~]+\s*\([^=;]*[^;]?\s*$"  # C, Java and theirs
    r"|[\w-]+\s*\(\)\s*\{?\s*$"  # shells
    r"|(?:export\s+)?(?:const|let|var)\s+\w+\s*=\s*(?:async\s*)?(?:function\b|\([^()]*\)\s*(?::[^=]+)?=>|\w+\s*=>)"
    r'|\w+(?:\s+"[^"]*")+\s*\{'  # Terraform
    r"|(?i:create|alter)\s+(?:\w+\s+){0,4}(?i:table|view|function|procedure|trigger|index|type|schema)\b"
)
_CONTAINERS = re.compile(rf"{_MODIFIER}*{_CONTAINER}")
_TABLES = re.compile(r"\[[^\]\n]+\]")
_KEYS = re.compile(r"""(?:[\w./-]+|"[^"\n]*"|'[^'\n]*')\s*:(?:\s|$)""")
_CONTINUES = re.compile(r"[\])}#]|\{|//|/\*|\*|end\b|(?:public|private|protected|default|else|case)\b.*:?\s*$|--|\w+:$")
_BODY = re.compile(r"(?<!\s)\s*+(?:\{|=>|=\s|[,:(]{0,9}\s*+$)")  # what follows the label of a definition
_BELONGS_BELOW = re.compile(r"\s*(?:#|//|/\*|\*|@|\[|--|///|'''|\"\"\")")


@dataclass(frozen=True, slots=True)
class _Piece:
    """Lines from `start` (from 0) on: what they define, and what that stands in."""

    start: int
    label: str
    parents: tuple[str, ...] = ()


def load_source_code(path: Path, name: str, limits: Limits) -> Extracted:
    """Sections that joined are the file. Raises UnreadableDocument when it is not text, or minified."""
    text, notice = decode(path.read_bytes(), name)
    limits.check_text(len(text), name)
    lines = list(io.StringIO(text))
    suffix = PurePath(name).suffix.lower()
    if suffix in _MINIFIED and len(text) > _MINIFIED_LINE * len(lines):
        raise unreadable(name, "is minified: made for machines, not to be read.", "Add the source it was made from.")
    pieces = _python_pieces(text, lines) if suffix in (".py", ".pyi") else None
    if pieces is None:
        pieces = _pieces(lines, suffix)
    sections = []
    for first, last, names in _ranges(pieces, lines):
        place = f"lines {first + 1}–{last}" if last > first + 1 else f"line {last}"
        sections.append(Section("".join(lines[first:last]), heading=f"{names} ({place})" if names else place))
    return Extracted(title=printable(PurePath(name).name), sections=sections, notice=notice)


def _python_pieces(text: str, lines: Sequence[str]) -> list[_Piece] | None:
    """The classes, their methods, and the functions; None when it is no Python (of this version)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    pieces = [_Piece(0, "")]

    def visit(body: Sequence[ast.stmt], parents: tuple[str, ...]) -> None:
        for node in body:
            label = ""
            start = node.lineno
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                label = f"{'class' if isinstance(node, ast.ClassDef) else 'def'} {node.name}"
                start = min(item.lineno for item in (node, *node.decorator_list))
            before = pieces[-1]
            if label or (before.label and (*before.parents, before.label) != parents):
                pieces.append(_Piece(_with_comments(lines, start - 1, before.start), label, parents))
            if isinstance(node, ast.ClassDef):
                visit(node.body, (*parents, label))

    visit(tree.body, ())
    return pieces


def _pieces(lines: Sequence[str], suffix: str) -> list[_Piece]:
    """The definitions of any other language, by their words and indentation."""
    pieces = [_Piece(0, "")]
    if suffix in (".ini", ".cfg", ".conf", ".toml", ".yaml", ".yml"):
        begins = _KEYS if suffix in (".yaml", ".yml") else _TABLES
        for number, line in enumerate(lines):
            if begins.match(line):
                label = line.partition(":")[0] if begins is _KEYS else line.strip().strip("[]")
                pieces.append(
                    _Piece(
                        _with_comments(lines, number, pieces[-1].start),
                        shortened(squeeze(label.strip("\"' ")), _LONGEST_LABEL),
                    )
                )
        return pieces
    above: list[tuple[int, str, bool]] = []  # indentation, label, whether it holds definitions
    for number, line in enumerate(lines):
        words = line[:500].lstrip()
        if not words.strip():
            continue
        indentation = len(line[:500].expandtabs(4)) - len(words.expandtabs(4))
        is_definition = _DEFINITIONS.match(words) is not None and not words.rstrip().endswith(";")
        has_ended = False
        while above and indentation <= above[-1][0] and (is_definition or not _CONTINUES.match(words)):
            above.pop()
            has_ended = True
        parents = tuple(label for _, label, _ in above)
        if is_definition and all(holds for _, _, holds in above) and (above or not indentation):
            label = shortened(squeeze(_BODY.split(words, maxsplit=1)[0]), _LONGEST_LABEL)
            pieces.append(_Piece(_with_comments(lines, number, pieces[-1].start), label, parents))
            above.append((indentation, label, _CONTAINERS.match(words) is not None))
        elif has_ended:
            pieces.append(_Piece(number, "", parents))
    return pieces


def _with_comments(lines: Sequence[str], start: int, after: int) -> int:
    """Where a definition begins with the comments and decorators that stand right above it."""
    while start - 1 > after and _BELONGS_BELOW.match(lines[start - 1]):
        start -= 1
    return start


def _ranges(pieces: Sequence[_Piece], lines: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """(first line from 0, line behind the last, heading) of each section: short neighbours joined, long pieces cut."""
    pieces = list(_with_heads(pieces))
    starts = [*(piece.start for piece in pieces), len(lines)]
    group: list[_Piece] = []
    first = 0
    for piece, (start, end) in zip(pieces, pairwise(starts), strict=True):
        if start == end:
            continue
        if group and (end - first > _SHORTEST_SECTION or piece.parents != group[0].parents):
            yield from _cut(first, start, lines, _heading(group))
            group, first = [], start
        group.append(piece)
    if first < len(lines):
        yield from _cut(first, len(lines), lines, _heading(group))


def _with_heads(pieces: Sequence[_Piece]) -> Iterator[_Piece]:
    """The pieces, the head of a class joined with its first member unless it is long."""
    head: _Piece | None = None
    for piece, following in zip(pieces, [*pieces[1:], _Piece(0, "")], strict=True):
        start = piece.start
        if head is not None:
            start, head = head.start, None
        if following.parents == (*piece.parents, piece.label) and following.start - start <= _SHORTEST_SECTION:
            head = replace(piece, start=start)
        else:
            yield replace(piece, start=start)


def _heading(group: Sequence[_Piece]) -> str:
    labels = list(dict.fromkeys(piece.label for piece in group if piece.label))
    heading = HEADING_SEPARATOR.join([*group[0].parents, *([", ".join(labels)] if labels else [])]) if group else ""
    return heading if len(heading) <= LONGEST_HEADING else heading[: LONGEST_HEADING - 1].rstrip(" ,") + "…"


def _cut(first: int, end: int, lines: Sequence[str], heading: str) -> Iterator[tuple[int, int, str]]:
    """Parts of at most `_LONGEST_SECTION` lines, cut behind the last blank line or else anywhere."""
    while end - first > _LONGEST_SECTION:
        limit = first + _LONGEST_SECTION
        cut = next((line for line in range(limit, first + _SHORTEST_SECTION, -1) if not lines[line - 1].strip()), limit)
        yield first, cut, heading
        first = cut
    if first < end:
        yield first, end, heading
