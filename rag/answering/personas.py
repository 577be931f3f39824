"""Personas: how a collection speaks. Instructions become a system message, examples turns before the conversation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rag.answering.modes.request import Mode, Request
from rag.errors import ConfigurationError
from rag.models.models_file import ModelsFile, Persona
from rag.types.documents import Message

_MOST_EXAMPLES = 50  # they stand in every prompt


@dataclass(frozen=True, slots=True)
class Role:
    """A persona with its examples read: turns of user and assistant."""

    persona: Persona
    examples: tuple[Message, ...] = ()

    def play(self, request: Request) -> Request:
        """The request as the persona takes it. What the request itself says of model and sampling goes first."""
        instructions = [Message("system", self.persona.instructions)] if self.persona.instructions else []
        own = () if request.mode == "compare" else tuple(filter(None, [self.persona.model]))
        return replace(
            request,
            messages=[*instructions, *request.messages],
            models=request.models or own,
            sampling=request.sampling.over(self.persona.sampling),
            examples=self.examples,
        )


def read_roles(file: ModelsFile) -> tuple[Role, ...]:
    """The personas of a `models.toml`. Raises ConfigurationError when one's examples cannot be read."""
    return tuple(Role(persona, _examples(persona, file.folder)) for persona in file.persona)


def addressed(request: Request, collection: str, roles: Sequence[Role], mode: Mode | None) -> Request:
    """The request as the persona of the collection takes it, where there is one; without a mode it has the persona's,
    else `documents`."""
    role = role_of(collection, roles)
    if role is None:
        return replace(request, mode=mode or "documents")
    return role.play(replace(request, mode=mode or role.persona.mode))


def role_of(collection: str, roles: Sequence[Role]) -> Role | None:
    """The persona of a collection: the first one that names it."""
    return next((role for role in roles if role.persona.collection == collection), None)


def _examples(persona: Persona, folder: Path) -> tuple[Message, ...]:
    if not persona.examples:
        return ()
    path = folder / Path(persona.examples).expanduser()
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"The examples of the persona {persona.name!r} cannot be read: {path}: {error.strerror}.",
            hint="Correct `examples` in models.toml; a path is meant from the folder of that file.",
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8 text.", hint="Save it again as UTF-8.") from error
    turns = tuple(_turns(text, path))
    if len(turns) > 2 * _MOST_EXAMPLES:
        raise ConfigurationError(
            f"{path} has more than {_MOST_EXAMPLES} examples.", hint="They stand in every prompt: choose the best few."
        )
    return turns


def _turns(text: str, path: Path) -> Iterator[Message]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            example = json.loads(line)
            turns = [Message("user", example["question"]), Message("assistant", example["answer"])]
        except (ValueError, KeyError, TypeError):
            turns = []
        if not turns or not all(isinstance(turn.content, str) and turn.content.strip() for turn in turns):
            raise ConfigurationError(
                f"Line {number} of {path} is not an example.",
                hint='Each line looks like {"question": "…", "answer": "…"}.',
            )
        yield from turns
