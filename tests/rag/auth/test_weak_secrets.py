"""A password that everybody knows is refused, wherever it stands, and one of any letters is read."""

from __future__ import annotations

import pytest

from rag.auth.weak_secrets import refuse_weak_secrets
from rag.errors import ConfigurationError
from rag.settings import Settings


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://footnote:postgres@db/footnote",
        "postgresql://footnote:Change%2DMe@db/footnote",
        "postgresql://footnote@db/footnote?password=secret",
    ],
)
def test_known_ones_are_refused(url):
    with pytest.raises(ConfigurationError, match="RAG_STORAGE__DATABASE_URL") as raised:
        refuse_weak_secrets(Settings(_env_file=None, storage={"database_url": url}))
    assert "openssl" in raised.value.hint


@pytest.mark.parametrize(
    "url", ["", "postgresql://footnote:a%5Bb%5D8c@db/footnote", "postgresql://footnote@db/footnote"]
)
def test_others_are_not(url):
    refuse_weak_secrets(Settings(_env_file=None, storage={"database_url": url}))
