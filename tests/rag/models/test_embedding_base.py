"""The bundled model is taken only as it was published."""

from __future__ import annotations

import pytest

from rag.errors import ConfigurationError
from rag.models.embedding_base import BUNDLED_PACKAGE, bundled_model


def test_the_bundled_model_is_the_official_one():
    folder = bundled_model()
    assert folder is not None
    assert (folder / "tokenizer.json").is_file()


def test_other_weights_are_refused(tmp_path, monkeypatch):
    package = tmp_path / BUNDLED_PACKAGE
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "model" / "model.safetensors").write_bytes(b"other weights")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigurationError, match="are not those of"):
        bundled_model()
