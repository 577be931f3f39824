"""Functions of a user's own that make models, named `package.module:function`, and their arguments."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rag.errors import ConfigurationError


def load_function(provider: str, group: str) -> Callable[..., Any]:
    """The function `package.module:function`, also one in the folder where Footnote is started. `group` is that of its
    setting, such as `RAG_LLM`. Raises ConfigurationError where there is none."""
    module_name, _, name = provider.partition(":")
    folder = str(Path.cwd())
    if folder not in sys.path and "" not in sys.path:
        sys.path.append(folder)
    try:
        function = getattr(importlib.import_module(module_name), name, None)
    except Exception as error:  # a foreign program
        raise ConfigurationError(
            f"The provider {provider} cannot be imported: {shown_error(error, ())}",
            hint=f"{module_name} and what it imports (e.g. llama-index-llms-azure-openai) must be installed, or lie in "
            "the folder where Footnote is started.",
        ) from error
    if not callable(function):
        raise ConfigurationError(
            f"The provider {provider} is no function: {module_name} has no {name}.",
            hint=f"Correct {group}__PROVIDER.",
        )
    return function  # type: ignore[no-any-return]


def filled(value: Any, secrets: list[str]) -> Any:
    """`value` with the environment's values in place of every `{"env": NAME}`; these are added to `secrets`. Raises
    ConfigurationError where one is not set."""
    if isinstance(value, dict) and value.keys() == {"env"}:
        if not (secret := os.environ.get(str(value["env"]), "")):
            raise ConfigurationError(
                f"The environment variable {value['env']} is not set, which the options of a model name.",
                hint=f"Set {value['env']}, or correct the setting OPTIONS (in models.toml: options).",
            )
        secrets.append(secret)
        return secret
    if isinstance(value, dict):
        return {name: filled(inner, secrets) for name, inner in value.items()}
    return [filled(inner, secrets) for inner in value] if isinstance(value, list | tuple) else value


def shown_error(error: Exception, secrets: Sequence[str]) -> str:
    """What an error says, on one line that is not too long, without the secrets."""
    words = " ".join(f"{type(error).__name__}: {error}".split())
    for secret in secrets:
        words = words.replace(secret, "…")
    return words if len(words) <= 300 else words[:299] + "…"
