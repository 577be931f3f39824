"""Refuses secrets that everybody knows where the server can be reached over a network."""

from __future__ import annotations

from rag.errors import ConfigurationError
from rag.settings import Settings
from rag.storage.connect import database_password

_WELL_KNOWN = (
    "admin changeit changeme default example footnote passw0rd password pass postgres root secret test user "
    "12345678 123456789 password1"
)


def refuse_weak_secrets(settings: Settings) -> None:
    """Raises ConfigurationError for a password that comes first to mind."""
    secrets = {
        "RAG_STORAGE__DATABASE_URL": database_password(settings.storage),
        "RAG_STORAGE__CHROMA_TOKEN": settings.storage.chroma_token.get_secret_value(),
    }
    for variable, secret in secrets.items():
        if secret and "".join(letter for letter in secret.lower() if letter.isalnum()) in _WELL_KNOWN.split():
            raise ConfigurationError(
                f"{variable} has a password that everybody knows.",
                hint="Choose another one, such as `openssl rand -hex 24` gives, and set it at the other end, too.",
            )
