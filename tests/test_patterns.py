"""Every regular expression takes time in proportion to the text, whatever stands in the text.

The patterns are collected from the modules, the attacks are made of what each pattern itself is made of, so a new
pattern is attacked without a line here.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import pkgutil
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from types import ModuleType

import pytest

import ingest
import rag
from rag.answering import follow_ups
from rag.evaluation import draft
from rag.models.prompt_type import PROMPT_TYPES, load_prompt_type
from rag.text import injection
from rag.ui import translations

ACT_ON_IMPORT = {"rag.storage.migrations.env", "rag.ui.handlers"}  # as Alembic and Chainlit want it; no patterns
METHODS = ("search", "match", "fullmatch", "sub", "subn", "split", "findall", "finditer")
LENGTHS = (16, 24, 32, 48, 64, 128, 256, 4_096)  # exponential time shows at the first ones, a cube at 256
# Those that are made of words, or read from files: with what they are used, and how to get them.
MADE_WHEN_NEEDED: dict[str, tuple[str, Callable[[], object]]] = {
    "rag.answering.follow_ups": ("search", lambda: [follow_ups._ASKS, follow_ups._GOES_ON, follow_ups._STANDS_FOR]),
    "rag.answering.tables.question": ("fullmatch", lambda: re.compile(r"\d{1,3}\,\d{3}")),
    "rag.answering.tables.table": ("search", lambda: re.compile(": (?:Item|Price): ")),
    "rag.evaluation.draft": (
        "search",
        lambda: re.compile(draft._LINE.format("Question"), re.IGNORECASE | re.MULTILINE),
    ),
    "rag.models.llama_cpp.client": ("search", lambda: re.compile("<\\|im_end\\|>|</s>")),
    "rag.models.llama_index": ("search", lambda: re.compile(r"\btools\b")),
    "rag.models.openai.errors": ("search", lambda: re.compile(r"(?<!\w)min_p(?!\w)")),
    "rag.models.prompt_type": ("sub", lambda: [load_prompt_type(name)._own_marks for name in PROMPT_TYPES]),
    "rag.text.injection": ("search", injection._patterns),
    "rag.ui.reader": ("search", lambda: re.compile(r"two\s+words\s+more", re.IGNORECASE)),
    "rag.ui.translations": ("fullmatch", translations._patterns),
}
LONGEST = {"rag.answering.repetition._UNDECIDED": 80}  # characters that a pattern is ever shown, where they are few
SLOW = 0.004  # seconds; below, nothing that grows with a power could have been at work at the third
RATIO = 2.6  # of the times, for a text twice as long


def modules() -> Iterator[ModuleType]:
    names = [
        found.name
        for package in (rag, ingest)
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries
        for name in names:
            if name not in ACT_ON_IMPORT:
                with suppress(ModuleNotFoundError):  # an extra that is not installed
                    importlib.import_module(name)
    return (sys.modules[name] for name in names if name in sys.modules)


def patterns_in(value: object, depth: int = 3) -> Iterator[re.Pattern]:
    if isinstance(value, re.Pattern):
        yield value
    elif depth and isinstance(value, dict):
        for member in value.values():
            yield from patterns_in(member, depth - 1)
    elif depth and isinstance(value, (list, tuple, set, frozenset)):
        for member in value:
            yield from patterns_in(member, depth - 1)
    elif depth and inspect.isclass(value) and value.__module__.split(".")[0] in ("rag", "ingest"):
        for member in vars(value).values():
            yield from patterns_in(member, depth - 1)


def is_re(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "re"


class Collected:
    """The patterns of all modules, each with its name and the methods it is used with."""

    def __init__(self) -> None:
        self.methods: dict[re.Pattern, set[str]] = {}
        self.names: dict[re.Pattern, str] = {}
        self.unknown: dict[str, set[str]] = {}  # calls whose pattern is made while the program runs, by module
        self.uses: dict[tuple[str, str], set[str]] = {}  # methods by module and name
        loaded = list(modules())
        for module in loaded:
            self.read(module)
        for name, (method, make) in MADE_WHEN_NEEDED.items():
            for pattern in patterns_in(make()):
                self.add(pattern, name, {method})
        for module in loaded:
            for name, value in vars(module).items():
                for pattern in patterns_in(value):
                    self.add(pattern, f"{module.__name__}.{name}", self.uses.get((module.__name__, name), set()))
        for methods in self.methods.values():
            if not methods:  # by nobody whom we see
                methods.add("search")

    def add(self, pattern: re.Pattern, name: str, methods: set[str]) -> None:
        self.methods.setdefault(pattern, set()).update(methods)
        self.names.setdefault(pattern, name)

    def read(self, module: ModuleType) -> None:
        """Note how names are used, and the patterns that are written where they are used."""
        tree = ast.parse(inspect.getsource(module))
        nodes = list(ast.walk(tree))
        for node in nodes:
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and is_re(node.func.value):
                self.read_call(module, node)
        through_locals: set[str] = set()  # `for pattern in (A, B): pattern.match(…)`
        called: set[ast.AST] = set()
        for node in nodes:
            if isinstance(node, ast.Attribute) and not is_re(node.value):
                called.add(node.value)
                name = node.value.id if isinstance(node.value, ast.Name) else ""
                if isinstance(vars(module).get(name), re.Pattern):
                    self.use(module.__name__, name, {node.attr} & {*METHODS})
                elif node.attr != "split":  # texts have that, too
                    through_locals |= {node.attr} & {*METHODS}
        loads = (node for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load))
        handed_on = {node.id for node in loads if node not in called}
        for name, value in vars(module).items():
            if any(patterns_in(value)) and (name in handed_on or not isinstance(value, re.Pattern)):
                self.use(module.__name__, name, through_locals or {"search"})
        imports = (node for node in tree.body if isinstance(node, ast.ImportFrom))
        for origin, alias in ((str(node.module), alias.name) for node in imports for alias in node.names):
            self.use(origin, alias, self.uses.get((module.__name__, alias), set()))

    def use(self, module: str, name: str, methods: set[str]) -> None:
        self.uses.setdefault((module, name), set()).update(methods)

    def read_call(self, module: ModuleType, call: ast.Call) -> None:
        assert isinstance(call.func, ast.Attribute)
        if call.func.attr not in (*METHODS, "compile"):
            return
        try:  # the pattern, with the names of its module
            flags = [ast.unparse(word.value) for word in call.keywords if word.arg == "flags"]
            position = {"sub": 4, "subn": 4, "split": 3, "compile": 1}.get(call.func.attr, 2)
            flags += [ast.unparse(argument) for argument in call.args[position : position + 1]]
            source = eval(ast.unparse(call.args[0]), vars(module))
            pattern = re.compile(source, eval(flags[0], vars(module)) if flags else 0)
        except NameError:
            self.unknown.setdefault(module.__name__, set()).add(ast.unparse(call.args[0]))
            return
        if call.func.attr != "compile":
            self.add(pattern, f"{module.__name__}:{call.lineno}", {call.func.attr})


# ---------------------------------------------------------------------------------------------------------- attacks


def members(node: tuple) -> list[str]:
    """Some of the characters that an item of a pattern takes."""
    kind, value = node
    if kind is codes.LITERAL:
        return [chr(value)]
    if kind is codes.NOT_LITERAL:
        return ["a" if value != ord("a") else "b"]
    if kind is codes.ANY:
        return ["a"]
    if kind is codes.CATEGORY:
        return {
            codes.CATEGORY_DIGIT: ["1"],
            codes.CATEGORY_SPACE: [" ", "\n", "\t"],
            codes.CATEGORY_WORD: ["a", "1", "_"],
            codes.CATEGORY_NOT_WORD: [" ", ".", "("],
            codes.CATEGORY_NOT_SPACE: ["a", "."],
            codes.CATEGORY_NOT_DIGIT: ["a", " "],
        }[value]
    if kind is codes.RANGE:
        return [chr(value[0]), chr(value[1])]
    if kind is codes.IN:
        if value[0][0] is codes.NEGATE:
            others = [other for other in "a1 \n\t.,-_([<{|é" if not any(takes(member, other) for member in value[1:])]
            return others[:6]
        return [character for member in value for character in members(member)][:24]
    return []


def takes(node: tuple, character: str) -> bool:
    kind, value = node
    if kind is codes.LITERAL:
        return chr(value) == character
    if kind is codes.RANGE:
        return value[0] <= ord(character) <= value[1]
    if kind is codes.CATEGORY:
        known = {
            codes.CATEGORY_DIGIT: r"\d",
            codes.CATEGORY_SPACE: r"\s",
            codes.CATEGORY_WORD: r"\w",
            codes.CATEGORY_NOT_WORD: r"\W",
            codes.CATEGORY_NOT_SPACE: r"\S",
            codes.CATEGORY_NOT_DIGIT: r"\D",
        }
        return re.match(known[value], character) is not None
    return False


def children(node: tuple) -> list:
    """The sequences within an item."""
    kind, value = node
    if kind in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
        return [value[2]]
    if kind is codes.SUBPATTERN:
        return [value[3]]
    if kind is codes.BRANCH:
        return list(value[1])
    if kind is codes.ATOMIC_GROUP:
        return [value]
    if kind in (codes.ASSERT, codes.ASSERT_NOT):
        return [value[1]]
    if kind is codes.GROUPREF_EXISTS:
        return [part for part in value[1:] if part is not None]
    return []


def sample(sequence, optional: int) -> str:
    """A text that the sequence may take; `optional` is how often a repeated thing stands that need not."""
    text = ""
    for node in sequence:
        kind, value = node
        if kind in (codes.ASSERT, codes.ASSERT_NOT, codes.AT):
            continue
        if kind in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
            low, high, inner = value
            text += sample(inner, optional) * min(max(low, min(optional, high)), 64)
        elif inside := children(node):
            text += sample(inside[0], optional)
        else:
            text += (members(node) or [""])[0]
    return text


def sequences(sequence) -> Iterator:
    yield sequence
    for node in sequence:
        for inside in children(node):
            yield from sequences(inside)


def attacks(pattern: re.Pattern) -> list[tuple[str, str]]:
    """Beginnings of texts, and what is repeated behind them."""
    tree = parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG)
    single: dict[str, None] = {}
    units: dict[str, None] = {}
    starts: dict[str, None] = {"": None}
    for sequence in sequences(tree):
        for node in sequence:
            single |= dict.fromkeys(members(node))
        for end in range(1, len(sequence) + 1):
            for optional in (0, 1, 2):
                units[sample(list(sequence)[:end], optional)] = None
    for end in range(1, len(tree) + 1):
        starts[sample(list(tree)[:end], 1)] = None
    characters = sorted(single, key=lambda c: (c not in " \n\ta1.[", list(single).index(c)))[:40]
    units = dict.fromkeys(u for u in units if u and len(u) <= 64)
    chosen = [*characters, *list(units)[:60], *(a + b for a in characters[:7] for b in characters[:7] if a != b)]
    pairs = [("", unit) for unit in dict.fromkeys(chosen)]
    return pairs + [(start, unit) for start in list(starts)[1:10] for unit in characters[:12]]


TAILS = ("", "\x01")


def seconds(pattern: re.Pattern, method: str, text: str) -> float:
    subject = text.encode("utf-8", "replace") if isinstance(pattern.pattern, bytes) else text
    call = getattr(pattern, method)
    began = time.thread_time()
    call(subject)
    return time.thread_time() - began


def attacked(pattern: re.Pattern, methods: set[str], longest: int) -> str:
    """What takes more than linear time; empty where nothing does."""
    for method in {method if method in ("search", "match", "fullmatch") else "findall" for method in methods}:
        for start, unit in attacks(pattern):
            for tail in TAILS:
                for length in LENGTHS:
                    text = start + unit * (min(length, longest) // len(unit) or 1) + tail
                    if seconds(pattern, method, text) < SLOW:
                        continue
                    if fault := growth(pattern, method, start, unit, tail, length):
                        return fault
                    break
    return ""


def growth(pattern: re.Pattern, method: str, start: str, unit: str, tail: str, length: int) -> str:
    lengths = [length // 2, length]
    for _ in range(3):  # what is slow once may be so by chance
        times = [seconds(pattern, method, start + unit * (n // len(unit) or 1) + tail) for n in lengths]
        if times[1] < SLOW or times[1] <= RATIO * times[0]:
            return ""
    repeated = f"{start!r} + {length // len(unit)} × {unit!r} + {tail!r}"
    return f"{method} of {repeated}: {times[1]:.3f} s, {times[1] / times[0]:.1f} times that of half of it"


@pytest.mark.timeout(900)  # some seconds, and more where much else is done
def test_each_pattern_takes_linear_time():
    collected = Collected()
    assert collected.unknown.keys() == MADE_WHEN_NEEDED.keys(), collected.unknown
    faults = []
    for pattern, methods in collected.methods.items():
        name = collected.names[pattern]
        if fault := attacked(pattern, methods, LONGEST.get(name, LENGTHS[-1])):
            faults.append(f"{name}: {fault}")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("source", "method"),
    [
        (r"[ \t]*\Z", "search"),  # the square
        (r"(?:<[^>]*>)+x", "search"),
        (r"(\w+)*!", "match"),  # exponential
        (r"(?:&lt;?|\W)*s", "match"),
        (r"\s*(.+?)\s*;", "fullmatch"),
    ],
)
def test_a_pattern_that_takes_more_is_found(source, method):
    assert attacked(re.compile(source), {method}, LENGTHS[-1])
