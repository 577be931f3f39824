"""The names of a document, as a table of token and document: the words of its title, file name and folder.

The tokens are as the word index knows them, with the parts of words such as `2021Q1`. Which documents a question names
is computed from the table in rag/retrieval/document_names.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath

from rag.storage.database import Connection
from rag.text.analysis import terms

NAMES_VERSION = "1"  # of what `name_tokens` gives; another one makes the catalog note all names anew

WORD = re.compile(r"[^\W_]+")
PART = re.compile(r"(?:19|20)\d\d|q[1-4]|[^\W\d_]+|\d+", re.IGNORECASE)


def put_names(connection: Connection, document_id: str, title: str, source: str) -> None:
    """Note the names of a document instead of those it had."""
    connection.execute("DELETE FROM names WHERE document_id = :id", id=document_id)
    connection.executemany(
        "INSERT INTO names (token, document_id) VALUES (:token, :document_id)",
        [{"token": token, "document_id": document_id} for token in name_tokens(title, source)],
    )


def name_tokens(title: str, source: str) -> frozenset[str]:
    """The tokens of all names of a document."""
    return frozenset(tokens_of(WORD.findall(" ".join(names_of(title, source)))))


def names_of(title: str, source: str) -> tuple[str, str, str]:
    """The names a document goes by: its title, its file's name, and that after its folder's."""
    path = PurePath(source)
    return title, path.stem, f"{path.parent.name} {path.stem}"


def tokens_of(words: Sequence[str]) -> list[str]:
    """Words and the parts of those that mix letters and digits, in the form of the word index."""
    parts = [part for word in words for part in PART.findall(word)]
    return terms(" ".join([*words, *parts]))
