"""The language models one can ask, by name."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rag.errors import NotFound
from rag.models.llm import close_language_model, open_language_model
from rag.models.models_file import ModelsFile

if TYPE_CHECKING:
    from rag.settings import LanguageModelSettings, Settings
    from rag.types.models import LanguageModel


class LanguageModels:
    """The models that settings and `models.toml` describe. Each is opened when it is first asked for, the default one
    at once. Close it when done; safe to use from several threads."""

    def __init__(self, settings: Settings, file: ModelsFile) -> None:
        """Open the default model; blocking: seconds at most. Raises ConfigurationError."""
        self.file = file
        self._settings = settings
        self._described: dict[str, LanguageModelSettings] = {entry.name: entry for entry in file.model}
        self._opened: dict[str, LanguageModel] = {}
        self._opening = threading.Lock()
        self._unnamed: LanguageModel | None = None  # of RAG_LLM__*, when `models.toml` names no model
        if not file.model:
            self._unnamed = open_language_model(settings)

    @property
    def default_name(self) -> str:
        """The name of the model that is asked where none is named; empty while its server has not told one."""
        if self._unnamed is not None:
            return self._unnamed.name
        return self.file.default_name

    @property
    def names(self) -> list[str]:
        """The names of the models that are offered, the default one first."""
        return [*filter(None, [self._unnamed.name])] if self._unnamed is not None else self.file.offered

    @property
    def described(self) -> Mapping[str, LanguageModelSettings]:
        """What is said of every model, also of those that are not offered."""
        return self._described or {self.default_name: self._settings.llm}

    def get(self, name: str = "") -> LanguageModel:
        """The model of that name, or the default one; blocking when it is first asked for: seconds.

        Raises NotFound; ConfigurationError when it cannot be opened."""
        if self._unnamed is not None and name in ("", self._unnamed.name):
            return self._unnamed
        name = name or self.default_name
        if name not in self._described:
            raise NotFound(f"There is no model {name!r}.", hint=f"There are: {', '.join(self.names)}.")
        if name in self._opened:  # whatever else is being opened
            return self._opened[name]
        with self._opening:
            if name not in self._opened:
                settings = self._settings.model_copy(update={"llm": self._beside_file(self._described[name])})
                self._opened[name] = open_language_model(settings)
            return self._opened[name]

    def look_again(self) -> bool:
        """Whether a model has turned up where `auto` found none before; it is the default one from now on. Blocking,
        about a second. Raises ConfigurationError."""
        with self._opening:
            if self._unnamed is None or self._unnamed.llm is not None or self._settings.llm.provider != "auto":
                return False
            self._unnamed = open_language_model(self._settings)
            return self._unnamed.llm is not None

    def close(self) -> None:
        """Stop what the models do and free what they hold; blocking."""
        with self._opening:
            for model in [*self._opened.values(), *filter(None, [self._unnamed])]:
                close_language_model(model)
            self._opened.clear()

    def _beside_file(self, described: LanguageModelSettings) -> LanguageModelSettings:
        """A GGUF file is looked for beside the `models.toml` that names it."""
        path = Path(described.model).expanduser()
        if path.suffix.lower() != ".gguf" or path.is_absolute():
            return described
        return described.model_copy(update={"model": str(self.file.folder / path)})
