"""Writes the folder that Chainlit runs from, inside the storage folder: configuration, texts, looks and start page.

Chainlit reads all of these from disk when it is imported, so they are written anew at every start. Nothing here imports
Chainlit.
"""

from __future__ import annotations

import html
import importlib.util
import json
import re
import shutil
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

HERE = Path(__file__).parent

# A link to another host: a preconnect hint, a web font, a style sheet from a CDN.
FOREIGN_LINK = re.compile(r'\s*<link\b[^>]*\bhref="(?:https?:)?//[^>]*>')

CODE = re.compile(r"`([^`]+)`")

# Chainlit puts "Using" and "Used" before the name of a step; ours say themselves what they do.
TEXTS: dict[tuple[str, ...], str] = {
    ("chat", "input", "placeholder"): "Ask your documents…",
    ("chat", "input", "actions", "stop"): "Stop",
    ("chat", "input", "actions", "attachFiles"): "Add documents",
    ("chat", "messages", "status", "using"): "",
    ("chat", "messages", "status", "used"): "",
    ("chat", "settings", "title"): "Settings",
    ("chat", "watermark"): "Answers can be wrong. Open the footnotes to check them.",
    ("chat", "commands", "button"): "Commands",
    ("chat", "commands", "changeTool"): "Another command",
    ("chat", "commands", "availableTools"): "Commands",
    ("navigation", "header", "readme"): "Help",
    ("threadHistory", "sidebar", "title"): "Conversations",
    ("threadHistory", "sidebar", "empty"): "There are no conversations yet.",
    ("threadHistory", "thread", "untitled"): "Without a title",
    ("threadHistory", "thread", "actions", "delete", "title"): "Delete this conversation?",
    ("threadHistory", "thread", "actions", "delete", "description"): "It cannot be brought back. Documents stay.",
    ("threadHistory", "thread", "actions", "delete", "success"): "Deleted",
    ("threadHistory", "thread", "actions", "delete", "inProgress"): "Deleting…",
    ("threadHistory", "thread", "actions", "rename", "title"): "Rename this conversation",
    ("threadHistory", "thread", "actions", "rename", "description"): "",
    ("threadHistory", "thread", "actions", "rename", "success"): "Renamed",
    ("threadHistory", "thread", "actions", "rename", "inProgress"): "Renaming…",
}


def write_chat_folder(folder: Path, *, banner: str, suffixes: Collection[str], max_upload_mb: int) -> None:
    """Make `folder` ready for Chainlit. `banner` is the line that names the language model."""
    chainlit = _chainlit_package()
    shutil.rmtree(folder / ".files", ignore_errors=True)  # uploads of chats that ended with the last process
    _write(folder / ".chainlit" / "config.toml", _configuration(suffixes, max_upload_mb))
    _write(folder / ".chainlit" / "translations" / "en-US.json", _texts(chainlit / "translations" / "en-US.json"))
    _write(folder / "chainlit_en-US.md", (HERE / "help.md").read_text(encoding="utf-8"))
    shutil.copytree(HERE / "public", folder / "public", dirs_exist_ok=True)

    page = chainlit / "frontend" / "dist"
    _write(folder / "build" / "index.html", _start_page((page / "index.html").read_text(encoding="utf-8"), banner))
    assets = folder / "build" / "assets"
    assets.unlink(missing_ok=True)
    assets.symlink_to(page / "assets", target_is_directory=True)


def _chainlit_package() -> Path:
    spec = importlib.util.find_spec("chainlit")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("chainlit")
    return Path(spec.submodule_search_locations[0])


def _configuration(suffixes: Collection[str], max_upload_mb: int) -> str:
    template = Template((HERE / "config.toml").read_text(encoding="utf-8"))
    return template.substitute({"suffixes": json.dumps(sorted(suffixes)), "max_upload_mb": max_upload_mb})


def _texts(original: Path) -> str:
    texts = json.loads(original.read_text(encoding="utf-8"))
    for path, text in TEXTS.items():
        group = texts
        for name in path[:-1]:
            group = group[name]
        group[path[-1]] = text
    return json.dumps(texts, ensure_ascii=False, indent=1)


def _start_page(page: str, banner: str) -> str:
    """Chainlit's page without its links to other hosts, and with the banner above the chat."""
    line = CODE.sub(r"<code>\1</code>", html.escape(banner))
    aside = f'<aside id="model-banner" aria-label="Language model">{line}</aside>'
    return FOREIGN_LINK.sub("", page).replace("<body>", f"<body>\n    {aside}")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
