"""Passwords and API keys: made, hashed, compared. What is stored cannot be turned back.

Passwords are hashed with Argon2id (RFC 9106, the library's parameters for it). Keys are 256 random bits, so that one
round of SHA-256 is enough, and a request pays microseconds for it.
"""

from __future__ import annotations

import hashlib
import secrets
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

KEY_PREFIX = "fn-"
_SHOWN = len(KEY_PREFIX) + 6  # characters of a key that lists show: too few to guess the rest
_HASHER = PasswordHasher()


def new_key() -> str:
    """A fresh API key, `fn-` and 43 characters."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def shown_part(key: str) -> str:
    """The beginning of a key, by which lists tell it from others."""
    return key[:_SHOWN]


def digest(key: str) -> str:
    """What is stored of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def hash_password(password: str) -> str:
    """What is stored of a password; takes some 50 ms of a processor and 64 MB on purpose."""
    return _HASHER.hash(password)


def verify_password(stored: str, password: str) -> bool:
    """Whether that is the password whose hash is stored; as slow as `hash_password`, also where nothing is stored."""
    try:
        return _HASHER.verify(stored or _dummy_hash(), password) and bool(stored)
    except (VerificationError, InvalidHashError, UnicodeEncodeError):
        return False


@cache
def _dummy_hash() -> str:
    """What a password is compared with where there is no such user: that takes as long."""
    return hash_password(secrets.token_hex(16))
