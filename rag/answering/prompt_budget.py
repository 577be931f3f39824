"""The budget of a prompt: as much history and as many sources as leave room for the answer in the model's window.

Prompts are drafted by `LanguageModel.count_tokens`, which may be a safe estimate, and judged whole by what the model's
own tokenizer says, where it can be asked; from how far both are apart follows what to try next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rag.answering.context import pack_context
from rag.errors import InvalidRequest
from rag.models.chat_template import TURN_TOKENS, template_tokens
from rag.types.chat import NO_FUNCTIONS, Functions
from rag.types.documents import Message, Passage
from rag.types.models import LanguageModel

_DRAFTS = 5
_FULL = 0.9  # a prompt that fills this part of its room is not made again for the rest
_HOW_TO_CALL = 256  # tokens
_IMAGE_TOKENS = 1000  # that an image takes, about: it depends on the model and on the image's size
_AIM = 0.98  # of the room: no two texts have the same number of letters a token


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is sent: system message with sources, history, question, what functions said; the functions that may be
    called; how many tokens the answer may have, and how many the messages have."""

    messages: list[Message]
    passages: tuple[Passage, ...]
    max_tokens: int
    functions: Functions = NO_FUNCTIONS
    tokens: int = 0


def fit_prompt(
    model: LanguageModel,
    rules: str,
    conversation: Sequence[Message],
    passages: Sequence[Passage],
    max_tokens: int,
    examples: Sequence[Message] = (),
    steps: Sequence[Message] = (),
    functions: Functions = NO_FUNCTIONS,
) -> Prompt:
    """The fullest prompt found that leaves room for the answer in the model's window; blocking: it may ask a server.

    The answer is given at most a third of the window; the history a third of what is left, or all of it where there
    are no passages. `examples` are turns that stand before the conversation, `steps` those behind the question that
    ends it: functions called for it, and what they gave; none of them is left out. Raises InvalidRequest when the
    question does not fit beside them, `rules` and the beginning of the first passage.
    """
    reserved = min(max_tokens, model.context_window // 3)
    room = model.context_window - reserved - _function_tokens(functions, model.count_tokens)
    around = (examples, steps)
    best: Prompt | None = None
    allowance, fits, too_much = room, 0, room * 100  # as `count_tokens` counts
    for _ in range(_DRAFTS):
        messages, packed, is_complete = _draft(model.count_tokens, rules, around, conversation, passages, allowance)
        if best and messages == best.messages:
            break
        estimated = _estimate(model.count_tokens, messages)
        counted = model.count_prompt(messages)
        actual = estimated if counted is None else counted + _image_tokens(messages)
        if actual <= room:
            fits = allowance
            if packed or not passages:
                best = Prompt(messages, packed, reserved, functions, actual)
            if actual >= room * _FULL or is_complete:
                break
        elif packed or len(messages) > len(examples) + len(steps) + 2:
            too_much = min(allowance, estimated)
        else:
            break
        allowance = min(int(_AIM * room * estimated / max(actual, 1)), too_much - 1)
        if allowance <= fits:
            break
    if best is None:
        what = "question with its functions" if functions or steps else "question"
        raise InvalidRequest(
            f"The {what} is too long for {model.name}, which reads {model.context_window} tokens.",
            hint="Ask a shorter question, or use a model with a larger context window.",
            param="messages",
        )
    return best


def history_room(
    model: LanguageModel,
    rules: str,
    question: str,
    max_tokens: int,
    *,
    sources: bool,
    examples: Sequence[Message] = (),
    steps: Sequence[Message] = (),
    functions: Functions = NO_FUNCTIONS,
) -> int:
    """How many tokens of history `fit_prompt` will take, with sources or without."""
    room = model.context_window - min(max_tokens, model.context_window // 3)
    room -= _function_tokens(functions, model.count_tokens)
    left = room - _frame(model.count_tokens, rules, [*examples, *steps], question)
    return left // 3 if sources else left


def fitting_history(history: Sequence[Message], count_tokens: Callable[[str], int], budget: int) -> list[Message]:
    """The latest whole exchanges that fit, beginning with a question."""
    kept: list[Message] = []
    for message in reversed(history):
        budget -= turn_tokens([message], count_tokens)
        if budget < 0:
            break
        kept.insert(0, message)
    while kept and kept[0].role != "user":
        kept.pop(0)
    return kept


def _draft(
    count_tokens: Callable[[str], int],
    rules: str,
    around: tuple[Sequence[Message], Sequence[Message]],
    conversation: Sequence[Message],
    passages: Sequence[Passage],
    allowance: int,
) -> tuple[list[Message], tuple[Passage, ...], bool]:
    """A prompt as long as the allowance, its passages, and whether all went in."""
    examples, steps = around
    *earlier, question = conversation
    left = allowance - _frame(count_tokens, rules, [*examples, *steps], question.content)
    left -= _image_tokens([question])
    history = fitting_history(earlier, count_tokens, left // 3 if passages else left)
    left -= turn_tokens(history, count_tokens)
    packed, sources = pack_context(passages, count_tokens, left)
    system_text = "\n\n".join(filter(None, [rules, sources]))
    system = [Message("system", system_text)] if system_text else []
    is_complete = packed == tuple(passages) and len(history) == len(earlier)
    return [*system, *examples, *history, question, *steps], packed, is_complete


def turn_tokens(turns: Sequence[Message], count_tokens: Callable[[str], int]) -> int:
    """What these turns take of a prompt, at most."""
    return sum(count_tokens(turn.written) + TURN_TOKENS for turn in turns) + _image_tokens(turns)


def beginning(text: str, count_tokens: Callable[[str], int], budget: int) -> str:
    """The longest beginning of a text that counts at most `budget`, by bisection; empty if none does."""
    low, high = 0, len(text)
    if count_tokens(text) <= budget:
        return text
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if count_tokens(text[:middle]) <= budget else (low, middle - 1)
    return text[:low]


def _frame(count_tokens: Callable[[str], int], rules: str, around: Sequence[Message], question: str) -> int:
    """What a prompt takes without history and sources."""
    return (
        count_tokens(f"{rules}\n\n") + count_tokens(question) + template_tokens(2) + turn_tokens(around, count_tokens)
    )


def _function_tokens(functions: Functions, count_tokens: Callable[[str], int]) -> int:
    """What the functions take of a prompt, at most: their definitions, and what a template says of how to call them."""
    return count_tokens(functions.written) + _HOW_TO_CALL if functions else 0


def _estimate(count_tokens: Callable[[str], int], messages: Sequence[Message]) -> int:
    written = sum(count_tokens(message.written) for message in messages)
    return written + template_tokens(len(messages)) + _image_tokens(messages)


def _image_tokens(messages: Sequence[Message]) -> int:
    return _IMAGE_TOKENS * sum(len(message.images) for message in messages)
