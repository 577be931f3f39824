"""What stands around a bracket tells whether it is a footnote's marker: code, JSON, formulas, tables, references."""

from __future__ import annotations

import re

_LONGEST_LINE = 600  # characters of a line that are looked at: its beginning and its end
_SEEN_BACK = 200
_LONGEST_WORDS = 60  # characters of what an operator, an abbreviation or a noun may take

# Words after which a bracket holds a number of theirs.
_NOUNS = (
    r"clauses?|sections?|secs?|articles?|arts?|paragraphs?|paras?|pages?|pp?|chapters?|lines?|rows?|columns?|tables?"
    r"|figures?|figs?|equations?|eqs?|items?|steps?|options?|questions?|rules?|parts?|annex(?:es)?|appendi(?:x|ces)"
    r"|exhibits?|schedules?|versions?|rooms?|levels?|numbers?|nos?|index|indices|return|yield"
    r"|klauseln?|abschnitte?|artikeln?|absatz|absätze|abs|paragra(?:f|ph)en?|seiten?|kapiteln?|zeilen?|spalten?|tabellen?"
    r"|abbildung(?:en)?|abb|gleichung(?:en)?|gl|schritte?|anlagen?|anhang|anhänge|nummern?|nrn?|zimmer|ziffern?|teile?"
    r"|alinéas?|chapitres?|lignes?|colonnes?|tableaux?|équations?|étapes?|annexes?|numéros?|salles?|parties?"
    r"|cláusulas?|secci(?:ón|ones)|artículos?|párrafos?|páginas?|págs?|capítulos?|líneas?|filas?|columnas?|tablas?"
    r"|figuras?|ecuaci(?:ón|ones)|pasos?|anexos?|números?|núms?|salas?|partes?"
)
_AFTER_NOUN = re.compile(rf"(?<!\w)(?:(?:{_NOUNS})|§)$", re.IGNORECASE)
_AFTER_ABBREVIATION = re.compile(
    r"(?<!\w)(?:[Cc]l|[Ss]ecs?|[Aa]rts?|[Pp]aras?|[Pp]p?|[Ff]igs?|[Ee]qs?|Nos?|Nrn?|Abs|Abb|Gl|[Pp]ágs?|[Nn]úms?|S)\.$"
)
_DETERMINED = re.compile(  # "the oil page [1]" is about a page, "page [1]" names one
    r"(?:\b(?:the|this|that|each|every|an?)|['’]s)\s+(?:(?!(?:in|on|of|at|under|see|from|to|per|is|says?)\b)[\w-]+\s+)?\w+$",
    re.IGNORECASE,
)
_AFTER_OPERATOR = re.compile(r"(?:[=+^×·∈<≤≥≈~/%]|\S[ \t]+\*|\bfor \w{1,30} in)$")
_KEY = re.compile(r"\s*(?:[-*] )?[\"']?([\w-]+)(?: [\w-]+)?[\"']?\s*:")
_SOURCES = (
    r"sources?|references?|refs?|citations?|footnotes?|quellen?|belege?|fußnoten?|références?|fuentes?|referencias?|citas?"
    r"|nachweise?|documents?|dokumente?|notes?"
)
_OF_SOURCES = re.compile(rf"(?:{_SOURCES})\b", re.IGNORECASE)
_AND = r"\b(?:and|or|to|und|oder|bis|et|ou|à|y|o|a)\b"
_JOINING = re.compile(rf"\s*+(?:,(?:\s*+{_AND})?|[;–-]|{_AND})\s*+")
_CALL = re.compile(r"\w\([^()]{0,80}\)$")
_TOUCHING = frozenset("@#$&\\^~=+/<-]")
_ARRAYS = (
    r"items?|arrays?|arr|lists?|grids?|matri(?:x|ces)|rows?|cols?|columns?|values?|vals?|args|argv|params?|data|elements?"
    r"|elems?|keys?|nodes?|index|results?|scores?|weights?|tokens?|buffers?|chars?|words|lines?|vectors?|vec|tuples?"
    r"|records?|cells?|fields?|stack|queue|map|dict|inputs?|outputs?|nums|numbers|names|ids|users|children|points?"
)
_PLAIN_WORD = re.compile(
    rf"(?<![\w.])(?!(?:{_ARRAYS})$)(?:[^\W\d_]?[a-zà-öø-ÿß’'-]{{2,40}}|\d{{1,4}}(?:st|nd|rd|th))$", re.IGNORECASE
)
_CODE_SIGNS = re.compile(r"[=;{}<>_]|\w\(|\w\[|^\s*(?:def|return|print|let|const|var)\b")
_WIDE = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]$")
TOUCHES_PLAIN_WORD = re.compile(rf"(?!{_WIDE.pattern})[^\W_]$")
_NUMBER_WORD = re.compile(
    r"(?:\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eine?[nrsm]?|zwei|drei|vier|fünf|sechs|sieben|acht"
    r"|neun|zehn|une?|deux|trois|quatre|cinq|sept|huit|neuf|dix|uno|una|dos|tres|cuatro|cinco|seis|siete|ocho|nueve"
    r"|diez))$",
    re.IGNORECASE,
)
_ENUMERATED = re.compile(r"\(\d{1,3}\)(?![ \t]*[.!?])")
_UNIT_OR_NAME = re.compile(r"(?<![^\W\d_])(?:[a-zà-ÿ]{4,40}[.!?,]?)$")


def extended_line(line: str, text: str) -> str:
    """The line, with the text behind it; of a long one the beginning and the end, which is all that is looked at: a
    model may write a line that never ends."""
    line += text
    return line if len(line) <= 2 * _LONGEST_LINE else line[:_SEEN_BACK] + line[-_LONGEST_LINE:]


class TextState:
    """Where in an answer one is: in code, in a formula, within braces, on which line. Fed with the text as it is shown.

    What nobody closes ends with its line (code, a formula, brackets) or at a blank one (braces).
    """

    def __init__(self) -> None:
        self.line = ""  # the present one, so far
        self.has_markers = False
        self._fence = ""
        self._code = ""  # the run of backticks that opened it
        self._formula = ""  # what closes it
        self._braces = 0
        self._brackets = 0
        self._begins_with_data: bool | None = None  # nobody knows before it has begun
        self._has_lines = False
        self._header: list[str] = []  # the cells of the first row of the table one is in
        self._after_data = -1  # in the line: the end of brackets that are data
        self._pending_dollars = False

    @property
    def is_prose(self) -> bool:
        """Whether the line looks like text, and the word before like one of a language."""
        return bool(_PLAIN_WORD.search(self.line[-80:])) and not _CODE_SIGNS.search(self.line)

    @property
    def is_data(self) -> bool:
        """Whether this is code, a formula or data, whatever stands around it."""
        if self._fence:
            return True
        if self.line.startswith("“") and self.line.rstrip().endswith("”"):
            return False  # a quote of Footnote's own, whatever is in it
        return bool(self._code or self._formula or self._braces or self._brackets)

    @property
    def begins_answer(self) -> bool:
        """Whether nothing stands before."""
        return not self._has_lines and not self.line.strip()

    def add(self, text: str) -> str:
        """Ordinary text comes, without a line break; it is given back."""
        if text:
            if self._pending_dollars:
                self._open_formula(text)
            if self._begins_with_data is None and (begun := text.lstrip()):
                self._begins_with_data = begun[0] == "["
            self._extend(text)
        return text

    def _extend(self, text: str) -> None:
        length = len(self.line) + len(text)
        self.line = extended_line(self.line, text)
        if len(self.line) < length:
            self._after_data = -1

    def mark(self, mark: str) -> None:
        """A line break, or a sign that may open or close something."""
        if self._pending_dollars and mark[0] != "$":
            self._open_formula(mark)
        if self._begins_with_data is None and mark.strip():
            self._begins_with_data = mark in "{["
        if mark == "\n":
            self._end_line()
            return
        if mark[0] in "`~" and len(mark) >= 3 and not self._code and not self.line.strip("> \t-*0123456789."):
            self._toggle_fence(mark)
        elif not self._fence:
            self._toggle(mark)
        self._extend(mark)

    def note_data(self) -> None:
        """The brackets that came last are data, and so may be those that follow."""
        self._after_data = len(self.line)

    @property
    def since_data(self) -> str | None:
        """What stands between brackets that are data and here, in this line."""
        return self.line[self._after_data :] if self._after_data >= 0 else None

    @property
    def column(self) -> str:
        """What heads the column of the table one is in; empty where nothing does."""
        place = self.line.lstrip().count("|") - 1
        return self._header[place].strip() if 0 <= place < len(self._header) else ""

    def _toggle_fence(self, mark: str) -> None:
        if not self._fence:
            self._fence = mark
        elif mark[0] == self._fence[0] and len(mark) >= len(self._fence):
            self._fence = ""

    def _toggle(self, mark: str) -> None:
        if mark[0] == "`":
            self._toggle_code(mark)
        elif self._code:
            pass
        elif mark[0] in "$\\":
            self._toggle_formula(mark)
        elif mark in "{}":
            self._braces = max(0, self._braces + (1 if mark == "{" else -1))
        elif mark in "[]【】":
            self._brackets = max(0, self._brackets + (1 if mark in "[【" else -1))

    def _toggle_code(self, mark: str) -> None:
        if self._code:
            self._code = "" if mark == self._code else self._code
        elif not self._formula:
            self._code = mark

    def _toggle_formula(self, mark: str) -> None:
        if self._formula:
            self._formula = "" if mark == self._formula else self._formula
        elif mark == "$":
            self._pending_dollars = True
        else:
            self._formula = {"\\(": "\\)", "\\[": "\\]", "$$": "$$"}.get(mark, "")

    def _open_formula(self, following: str) -> None:
        """A single dollar opens a formula unless a space or an amount follows."""
        self._pending_dollars = False
        if not following[0].isspace() and not following[0].isdigit():
            self._formula = "$"

    def _end_line(self) -> None:
        is_blank = not self.line.strip()
        self._code = ""
        self._formula = "" if is_blank or self._formula == "$" else self._formula
        self._braces = 0 if is_blank and not self._begins_with_data else self._braces
        self._brackets = self._brackets if self._begins_with_data else 0
        if not self.line.lstrip().startswith("|"):
            self._header = []
        elif not self._header:
            self._header = self.line.strip().strip("|").split("|")
        self.line, self._after_data, self._has_lines = "", -1, True


def goes_on_with_data(state: TextState, context: str) -> bool:
    """Whether brackets continue a list of brackets that are data: `pages [12], [13] and [14]`."""
    between = state.since_data
    return between is not None and bool(_JOINING.fullmatch(context[len(state.line) - len(between) :]))


def announces_data(state: TextState, context: str, group: str, after: str) -> bool:
    """Whether what stands right before or behind brackets says that they are no markers."""
    before = context.rstrip()
    following = after.lstrip(" \t")[:1]
    if _goes_on(after[:1]) or following in ("]", "+", "=") or (after[:1] == ":" and not before):
        return True
    if context == before and before:  # they touch it
        if TOUCHES_PLAIN_WORD.search(before):
            return False  # that is for the parser to decide
        if _is_joined(before, after):
            return True
    if state.begins_answer and "," in group and following in ("", "\n"):
        return True
    if before.lstrip().startswith("|") and before[-1] == "|" and following in ("|", "", "\n"):
        return not _OF_SOURCES.search(state.column)
    return _announced(before[-_SEEN_BACK:], is_list="," in group)


def _goes_on(character: str) -> bool:
    """Whether this, right behind brackets, makes a link or a word of them."""
    return character in ("(", "_") or character.islower() or character.isdigit()


def _is_joined(before: str, after: str) -> bool:
    """Whether a sign that brackets touch makes one expression of both, as in `f(x)[1]`, `"[1]"`."""
    last = before[-1]
    is_quoted = last in "'\"" and after[:1] == last
    is_call = (last == ")" and _CALL.search(before[-90:])) or (last == "(" and before[-2:-1].isalnum())
    return is_quoted or bool(is_call) or last == "_" or last in _TOUCHING


def _announced(before: str, *, is_list: bool) -> bool:
    """Whether an operator, a key or a word such as "Clause" stands before."""
    last = before[-_LONGEST_WORDS:]
    if _AFTER_OPERATOR.search(last) or _AFTER_ABBREVIATION.search(last):
        return True
    if (key := _KEY.fullmatch(before)) and not _OF_SOURCES.match(key[1]):
        return True
    if is_list and before[-1:] == ":" and not _OF_SOURCES.search(before):
        return True
    return bool(_AFTER_NOUN.search(last)) and not _DETERMINED.search(before)


def may_be_parenthesis(state: TextState, gap: str, after: str) -> bool:
    """Whether `(1)` at this place can only be a marker: a sentence ends with it, and nothing is numbered that way."""
    before = state.line
    if not before.strip() or not gap or state.has_markers or before.lstrip().startswith(("|", "#")):
        return False
    is_end = after in (".", "!", "?", "") or after == "\n"
    if not is_end or (after in ("", "\n") and len(before.split()) < 4):
        return False
    tail = before[-_SEEN_BACK:]
    is_reference = _AFTER_NOUN.search(tail) or _AFTER_ABBREVIATION.search(tail) or _NUMBER_WORD.search(tail)
    return not (
        is_reference or _ENUMERATED.search(before) or _AFTER_OPERATOR.search(tail) or _CODE_SIGNS.search(before)
    )


def may_be_superscript(state: TextState, after: str) -> bool:
    """Whether `¹` at this place can only be a marker: it touches a long word or its full stop, no unit or formula."""
    is_free = after == "" or after.isspace() or after in ".,;:!?)"
    return is_free and bool(_UNIT_OR_NAME.search(state.line[-60:])) and not _CODE_SIGNS.search(state.line)
