"""One image and one stack for all tests here, which go through its life in order."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.compose.stack import ROOT, Stack, docker
from tests.e2e.conftest import CHROMIUM, FLAGS
from tests.tiny_gguf import WITH_SYSTEM, write_tiny_gguf

IMAGE = "footnote:test"
BUILD = ["build", *os.environ.get("FOOTNOTE_BUILD_FLAGS", "").split()]


@pytest.fixture(scope="session")
def image() -> str:
    """The image, built from this tree; what did not change is taken from the cache."""
    docker(*BUILD, "--tag", IMAGE, "--build-arg", "REVISION=test", str(ROOT), timeout=3600)
    return IMAGE


@pytest.fixture(scope="session")
def model_image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A server with a model that says the same thing over and over, as long as it may."""
    folder = tmp_path_factory.mktemp("model")
    shutil.copy(Path(__file__).parent / "model" / "Dockerfile", folder)
    write_tiny_gguf(
        folder / "model.gguf", "The documents say so [1].", endless=True, template=WITH_SYSTEM, context_window=8192
    )
    (folder / "wheels").mkdir()
    (folder / "wheels" / "README").touch()
    for wheel in Path(os.environ.get("FOOTNOTE_WHEELS", folder)).glob("llama_cpp_python-*.whl"):
        shutil.copy(wheel, folder / "wheels")
    docker(*BUILD, "--tag", "footnote-model:test", str(folder), timeout=3600)
    return "footnote-model:test"


@pytest.fixture(scope="session")
def stack(image: str, model_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack with a model, before anything was started."""
    folder = tmp_path_factory.mktemp("stack")
    stack = Stack(folder, image, [Path(__file__).parent / "model.yml"], MODEL_IMAGE=model_image)
    with stack.removed_at_the_end():
        yield stack


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
