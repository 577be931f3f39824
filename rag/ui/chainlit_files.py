"""Writes the folder that Chainlit runs from, inside the storage folder: configuration, texts, looks and start page.

Chainlit reads all of these from disk when it is imported, so they are written anew at every start. Nothing here imports
Chainlit.
"""

from __future__ import annotations

import functools
import html
import json
import re
import shutil
from importlib.metadata import distribution
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from rag.ui.translations import FOLDER, LANGUAGES, translations_in

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

HERE = Path(__file__).parent

# A link to another host: a preconnect hint, a web font, a style sheet from a CDN.
FOREIGN_LINK = re.compile(r'(?<!\s)\s*+<link\b[^<>]*\bhref="(?:https?:)?//[^<>]*>')

CODE = re.compile(r"`([^`]+)`")

# Chainlit's own translations, which ours are put on top of.
CHAINLIT = {"en": "en-US", "de": "de-DE", "fr": "fr-FR", "es": "es"}


SCRIPTS = ("chat.js", "footnotes.js", "compare.js", "names.js")

# Chainlit's buttons without a name of their own, and the text that names them: Chainlit's, or one of the page's.
NAMES = {
    "#sidebar-trigger-button": "threadHistory.sidebar.title",
    "#new-chat-button": "navigation.newChat.button",
    "#search-chats-button": "threadHistory.sidebar.filters.placeholder",
    "#upload-button": "chat.input.actions.attachFiles",
    "#chat-settings-open-modal": "chat.settings.title",
    "#chat-submit": "chat.input.actions.send",
    "#stop-button": "chat.input.actions.stop",
    ":is(.positive-feedback-off, .positive-feedback-on)": "chat.messages.feedback.positive",
    ":is(.negative-feedback-off, .negative-feedback-on)": "chat.messages.feedback.negative",
    "#password + button": "show_password",
    "button:has(> .lucide-arrow-down)": "to_the_end",
}


def write_chainlit_files(
    folder: Path, *, banners: Mapping[str, str], suffixes: Collection[str], max_upload_mb: int, is_open: bool
) -> None:
    """Make `folder` ready for Chainlit. `banners` are the line that names the language model, by language;
    `is_open` says that nobody has to log in."""
    chainlit = Path(str(distribution("chainlit").locate_file("chainlit")))
    shutil.rmtree(folder / ".files", ignore_errors=True)  # uploads of chats that ended with the last process
    template = Template((HERE / "config.toml").read_text(encoding="utf-8"))
    configuration = template.substitute(suffixes=json.dumps(sorted(suffixes)), max_upload_mb=max_upload_mb)
    _write(folder / ".chainlit" / "config.toml", configuration)
    for language in LANGUAGES:
        translation = json.dumps(_translation(chainlit, language), ensure_ascii=False, indent=1)
        _write(folder / ".chainlit" / "translations" / f"{language}.json", translation)
        _write(folder / f"chainlit_{language}.md", (FOLDER / f"{language}.md").read_text(encoding="utf-8"))
    shutil.copy(folder / ".chainlit" / "translations" / "en.json", folder / ".chainlit" / "translations" / "en-US.json")
    shutil.copytree(HERE / "public", folder / "public", dirs_exist_ok=True)
    _write(folder / "public" / "chat.js", _script(chainlit, is_open))

    page = chainlit / "frontend" / "dist"
    _write(folder / "build" / "index.html", _start_page((page / "index.html").read_text(encoding="utf-8"), banners))
    assets = folder / "build" / "assets"
    if assets.is_dir() and not assets.is_symlink():  # somebody copied the storage folder, and what links point to
        shutil.rmtree(assets)
    assets.unlink(missing_ok=True)
    assets.symlink_to(page / "assets", target_is_directory=True)


def _names(chainlit: Path, language: str) -> dict[str, str]:
    translation = _translation(chainlit, language)
    page = translations_in(language).sections["page"]
    return {
        selector: page[path] if path in page else str(functools.reduce(dict.__getitem__, path.split("."), translation))
        for selector, path in NAMES.items()
    }


def _translation(chainlit: Path, language: str) -> dict[str, Any]:
    """Chainlit's texts in a language, where it has one in English where it lacks it, and where we have one in ours."""
    translation: dict[str, Any] = {}
    for name in (CHAINLIT["en"], CHAINLIT[language]):
        own = json.loads((chainlit / "translations" / f"{name}.json").read_text(encoding="utf-8"))
        translation = _over(own, translation)
    for path, text in translations_in(language).sections["chainlit"].items():
        *groups, last = path.split(".")
        functools.reduce(dict.__getitem__, groups, translation)[last] = text
    return translation


def _over(upper: dict[str, Any], lower: dict[str, Any]) -> dict[str, Any]:
    """All of `lower`, replaced by `upper` where that has it too."""
    merged = {**lower, **upper}
    for name, value in merged.items():
        if isinstance(value, dict):
            merged[name] = _over(value, lower.get(name, {}))
    return merged


def _script(chainlit: Path, is_open: bool) -> str:
    """The page's scripts as one, after the texts that they show."""
    values = {
        "footnoteTexts": {language: translations_in(language).sections["page"] for language in LANGUAGES},
        "footnoteIsOpen": is_open,
        "footnoteNames": {language: _names(chainlit, language) for language in LANGUAGES},
    }
    lines = [f"window.{name} = {json.dumps(value, ensure_ascii=False)};\n" for name, value in values.items()]
    return "".join([*lines, *((HERE / "public" / name).read_text(encoding="utf-8") for name in SCRIPTS)])


def _start_page(page: str, banners: Mapping[str, str]) -> str:
    """Chainlit's page without its links to other hosts, and with the banner above the chat in every language; the
    script takes the others out."""
    shown = {language: CODE.sub(r"<code>\1</code>", html.escape(banner)) for language, banner in banners.items()}
    lines = "".join(f'<span lang="{language}">{banner}</span>' for language, banner in shown.items())
    return FOREIGN_LINK.sub("", page).replace("<body>", f'<body>\n    <aside id="model-banner">{lines}</aside>')


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
