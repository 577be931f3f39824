"""`models.toml`: several language models and personas, in the words of the settings. Read once, at the start.

    default = "mistral"                # else the first model
    fallback = ["mistral", "small"]    # the next one answers when one cannot be reached

    [[model]]
    name = "mistral"
    base_url = "http://127.0.0.1:8001/v1"

docs/models.md describes all of it.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rag.errors import ConfigurationError
from rag.settings import LanguageModelSettings, Settings
from rag.types.chat import Sampling

USUAL_NAME = "models.toml"
_SECRET = re.compile(r"(^|_)(api_?key|key|token|secret|password)$", re.IGNORECASE)


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class ModelEntry(LanguageModelSettings):
    """A model as RAG_LLM__* would describe it, with a name. `visible` models are offered in chat and API."""

    name: str = Field(min_length=1, max_length=100, pattern=r"^[^\s/][^\s]*$")
    visible: bool = True


class Persona(_Table):
    """How a collection speaks: instructions, examples of answers, and the model and mode it is asked with.

    `examples` is a JSONL file of objects with `question` and `answer`, beside the file that names it.
    """

    name: str = Field(min_length=1, max_length=100)
    collection: str = "default"
    description: str = ""
    instructions: str = ""
    examples: str = ""
    model: str = ""
    mode: Literal["documents", "chat"] = "documents"
    temperature: float | None = Field(None, ge=0, le=2)
    max_tokens: int | None = Field(None, ge=16)

    @property
    def sampling(self) -> Sampling:
        """What the persona says of sampling."""
        return Sampling(max_tokens=self.max_tokens, temperature=self.temperature)


class Route(_Table):
    """A small model that answers first, and a large one for what the small one does badly; costs are of a million
    tokens, in whatever currency."""

    small: str
    large: str
    small_cost: float = Field(0.0, ge=0)
    large_cost: float = Field(0.0, ge=0)


class ModelsFile(_Table):
    """What a `models.toml` says; empty where there is none. `folder` is where it lies."""

    folder: Path = Path()
    default: str = ""
    fallback: tuple[str, ...] = ()
    model: tuple[ModelEntry, ...] = ()
    persona: tuple[Persona, ...] = ()
    route: Route | None = None

    @property
    def default_name(self) -> str:
        """The model that is asked where none is named; empty without any."""
        return self.default or (self.model[0].name if self.model else "")

    @property
    def offered(self) -> list[str]:
        """The names of the models to choose from, the default one first."""
        names = [model.name for model in self.model if model.visible and model.name != self.default_name]
        return [*filter(None, [self.default_name]), *names]

    @model_validator(mode="after")
    def _names_are_known(self) -> ModelsFile:
        names = [model.name for model in self.model]
        used = [self.default, *self.fallback, *(persona.model for persona in self.persona)]
        used += [self.route.small, self.route.large] if self.route else []
        for name in filter(None, used):
            if names.count(name) != 1:
                raise ValueError(f"there is no [[model]] with the name {name!r} (there are: {', '.join(names)})")
        for kind, all_names in (("model", names), ("persona", [persona.name for persona in self.persona])):
            if twice := {name for name in all_names if all_names.count(name) > 1}:
                raise ValueError(f"two [[{kind}]] have the name {min(twice)!r}")
        return self


def load_models_file(settings: Settings) -> ModelsFile:
    """The file that the settings name, or `models.toml` where there is one. Raises ConfigurationError."""
    path = Path(settings.models.file or USUAL_NAME).expanduser()
    if not settings.models.file and not path.exists():
        return ModelsFile()
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror}.", hint="Correct RAG_MODELS__FILE."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not TOML: {error}.", hint="docs/models.md shows a whole file.") from error
    if name := _secret_in(content):
        raise ConfigurationError(
            f"{path} has a secret in it: {name}.",
            hint='Put it into an environment variable and the name of that here: api_key_env = "MY_KEY", or in options '
            f'{name} = {{env = "MY_KEY"}}.',
        )
    try:
        return ModelsFile.model_validate({**content, "folder": path.absolute().parent})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = " ".join(str(part + 1 if isinstance(part, int) else part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigurationError(
            f"{path} is not valid{f' ({place})' if place else ''}: {message[0].lower()}{message[1:]}.",
            hint="docs/models.md lists what can be said, and shows a whole file.",
        ) from error


def _secret_in(content: object) -> str:
    """The name of something in the file that should be secret; empty if there is none."""
    if isinstance(content, dict):
        for name, value in content.items():
            if isinstance(value, str) and value and _SECRET.search(name):
                return str(name)
    values = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    return next(filter(None, map(_secret_in, values)), "")
