"""Chat templates for models, and servers, that have none: `prompt_type` names one, or is a Jinja file.

The named ones are as their models' authors trained them; what begins the whole prompt (`<s>`, `<|begin_of_text|>`) is
left to the tokenizer, which puts it there by itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from rag.errors import BackendRejected, ConfigurationError
from rag.models.chat_template import Turn, fold_system, merge_turns

_ROLES = ("system", "user", "assistant")
_LARGEST_TEMPLATE = 1 << 18  # bytes
_PROBE: Sequence[Turn] = (
    {"role": "system", "content": "SYSTEM-TEXT"},
    {"role": "user", "content": "USER-TEXT"},
)
_MARKS = re.compile(r"<\|?[^<>{}\s'\"]{1,40}>|\[/?[A-Z_]{2,20}\]|(?<!#)###\s?\w{1,20}:")  # that set turns apart


def _jinja(reply: str, **turns: tuple[str, str]) -> str:
    """The template in which each role's text stands between two texts of its own, and `reply` opens an answer."""
    branches = (
        f"{{%- if message['role'] == {role!r} %}}{{{{ {before!r} + message['content'] + {after!r} }}}}{{% endif -%}}"
        for role, (before, after) in turns.items()
    )
    return (
        f"{{% for message in messages %}}{''.join(branches)}{{% endfor %}}"
        f"{{% if add_generation_prompt %}}{{{{ {reply!r} }}}}{{% endif %}}"
    )


CHATML = _jinja(
    "<|im_start|>assistant\n",
    **{role: (f"<|im_start|>{role}\n", "<|im_end|>\n") for role in _ROLES},
)
_LLAMA2 = (  # the system message stands within the first turn
    "{% for message in messages %}{% set text = message['content'] %}"
    "{% if message['role'] == 'system' %}{{ '[INST] <<SYS>>\\n' + text + '\\n<</SYS>>\\n\\n' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' ' + text + ' </s><s>' }}"
    "{% elif loop.previtem and loop.previtem['role'] == 'system' %}{{ text + ' [/INST]' }}"
    "{% else %}{{ '[INST] ' + text + ' [/INST]' }}{% endif %}{% endfor %}"
)
_NAMED: Mapping[str, tuple[str, tuple[str, ...]]] = {  # the template, and what ends a reply as text
    "chatml": (CHATML, ("<|im_end|>",)),
    "llama2": (_LLAMA2, ("[INST]",)),
    "llama3": (
        _jinja(
            "<|start_header_id|>assistant<|end_header_id|>\n\n",
            **{role: (f"<|start_header_id|>{role}<|end_header_id|>\n\n", "<|eot_id|>") for role in _ROLES},
        ),
        ("<|eot_id|>",),
    ),
    "mistral": (_jinja("", user=("[INST] ", " [/INST]"), assistant=(" ", "</s>")), ("[INST]",)),
    "gemma": (
        _jinja(
            "<start_of_turn>model\n",
            user=("<start_of_turn>user\n", "<end_of_turn>\n"),
            assistant=("<start_of_turn>model\n", "<end_of_turn>\n"),
        ),
        ("<end_of_turn>",),
    ),
    "zephyr": (
        _jinja("<|assistant|>\n", **{role: (f"<|{role}|>\n", "</s>\n") for role in _ROLES}),
        ("<|user|>",),
    ),
    "phi3": (
        _jinja("<|assistant|>\n", **{role: (f"<|{role}|>\n", "<|end|>\n") for role in _ROLES}),
        ("<|end|>",),
    ),
    "vicuna": (
        _jinja("ASSISTANT:", system=("", "\n\n"), user=("USER: ", "\n"), assistant=("ASSISTANT: ", "</s>\n")),
        ("USER:",),
    ),
    "alpaca": (
        _jinja(
            "### Response:\n",
            system=("", "\n\n"),
            user=("### Instruction:\n", "\n\n"),
            assistant=("### Response:\n", "\n\n"),
        ),
        ("### Instruction:",),
    ),
    "plain": (_jinja("", **dict.fromkeys(_ROLES, ("", "\n\n"))), ()),
}
PROMPT_TYPES = tuple(_NAMED)


@dataclass(frozen=True)
class PromptType:
    """A chat template that is not the model's own. `stop` are the texts with which a reply ends."""

    source: str
    stop: tuple[str, ...] = ()
    _template: Template = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Raises jinja2.TemplateError where the source is no template."""
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
        environment.globals |= {
            "raise_exception": _refuse,
            "strftime_now": lambda form: datetime.now(UTC).strftime(form),
        }
        object.__setattr__(self, "_template", environment.from_string(self.source))

    def prompt(self, turns: Sequence[Turn]) -> str:
        """The conversation as one text, which ends where the reply begins; a last turn of the assistant's is open, so
        that the reply goes on with it. What looks in a text like a mark between turns is broken up. Raises
        BackendRejected for a conversation that the template does not take."""
        turns = merge_turns(turns) if self._takes_system else fold_system(turns)
        turns = [{**turn, "content": self._own_marks.sub(_broken_up, str(turn["content"]))} for turn in turns]
        is_open = turns[-1]["role"] == "assistant"
        try:
            written = self._written(turns, add_generation_prompt=not is_open)
        except (TemplateError, TypeError) as error:
            raise BackendRejected(
                f"The chat template of RAG_LLM__PROMPT_TYPE refuses this conversation: {error}.",
                hint="Set another one, or begin a new conversation.",
            ) from error
        if is_open and (last := str(turns[-1]["content"]).strip()) in written:
            return written[: written.rindex(last) + len(last)]
        return written

    @cached_property
    def _takes_system(self) -> bool:
        """Whether a system message survives the template: some raise, some leave it out."""
        try:
            return _PROBE[0]["content"] in self._written(_PROBE)
        except TemplateError:
            return False

    @cached_property
    def _own_marks(self) -> re.Pattern[str]:
        marks = sorted({*_MARKS.findall(self.source), *self.stop}, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, marks)) or r"(?!)")

    def _written(self, turns: Sequence[Turn], *, add_generation_prompt: bool = True) -> str:
        return self._template.render(
            messages=turns, add_generation_prompt=add_generation_prompt, bos_token="", eos_token=""
        )


def load_prompt_type(name: str) -> PromptType:
    """The one of that name, or of a file `….jinja`, as model repositories have it; blocking.

    Raises ConfigurationError where there is none, or it is no template."""
    if name in _NAMED:
        return PromptType(*_NAMED[name])
    path = Path(name).expanduser()
    hint = f"Set RAG_LLM__PROMPT_TYPE to one of {', '.join(PROMPT_TYPES)}, or to a Jinja file of a chat template."
    if path.suffix.lower() not in {".jinja", ".jinja2", ".j2"}:
        raise ConfigurationError(f"There is no prompt type {name!r}.", hint=hint)
    try:
        with path.open(encoding="utf-8") as file:
            prompt_type = PromptType(file.read(_LARGEST_TEMPLATE))
        prompt_type.prompt(_PROBE)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.", hint=hint) from error
    except Exception as error:  # a foreign program: whatever it raises, it writes no prompt
        raise ConfigurationError(f"{path} is no chat template: {error}.", hint=hint) from error
    return prompt_type


def _broken_up(mark: re.Match[str]) -> str:
    return f"{mark[0][0]} {mark[0][1:]}"


def _refuse(message: str) -> Any:
    raise TemplateError(message)
