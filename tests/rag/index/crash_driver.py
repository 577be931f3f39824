"""Does one write in a process that dies at a given moment: `python -m tests.rag.index.crash_driver STORAGE ACTION…`.

For every copy of the storage folder a child is forked that dies before that call of a write primitive whose number is
the copy's name: a statement of SQLite, an upsert or delete of Chroma, any change of tantivy. The calls are counted
where they leave our code, by the interpreter's profiling hook, so nothing of the product is replaced. Prints a line a
copy: `died`, and at last `done`, when the write was over before its moment came.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import chromadb  # noqa: F401 - imported once, before the children are forked
import tantivy  # noqa: F401

from rag.index.index import Index
from rag.models.embedding import open_embedding
from rag.settings import EmbeddingSettings
from tests.rag.versions import make_version

EMBEDDING = open_embedding(EmbeddingSettings(model="bag-of-words"))
OTHER = open_embedding(EmbeddingSettings(model="bag-of-words", query_prefix="apple "))
OLD = {
    "doc_a": ["apple one\napple two\napple three", "apple four"],
    "doc_b": ["banana one"],
    "doc_c": ["cherry one\ncherry two"],
}
NEW = {"doc_a": ["aubergine one", "aubergine two"], "doc_d": ["date one\ndate two"]}
C_PRIMITIVES = {
    "execute",
    "executemany",
    "executescript",
    "commit",
    "add_document",
    "delete_documents_by_term",
    "delete_all_documents",
}
CALLERS = (f"{os.sep}rag{os.sep}", "sqlalchemy/engine/default.py")  # Chroma has a SQLite of its own
CHROMA_PRIMITIVES = {"upsert", "add", "update", "delete"}


def replace(index: Index) -> None:
    """doc_a gets a second version and doc_d comes, both at once."""
    version = {"doc_a": 2, "doc_d": 1}
    index.replace_documents([make_version(i, pages, EMBEDDING, version=version[i]) for i, pages in NEW.items()])


def delete(index: Index) -> None:
    """doc_a goes."""
    index.delete_documents(["doc_a"])


def switch(index: Index) -> None:
    """Another embedding model for all documents."""
    with index.switching(OTHER):
        for document in index.catalog.documents():
            if document.id in index.unstaged():
                version = make_version(document.id, OLD[document.id], OTHER, version=document.version + 1)
                index.stage(document, "fingerprint", version.chunks, version.vector_ids, version.vectors)
        if not index.switch():
            raise AssertionError("a document was not staged")


ACTIONS = {"replace": replace, "delete": delete, "switch": switch}


def die_before_call(number: int) -> None:
    """End the process, without any clean-up, right before the number-th call of a write primitive from now on."""
    left = number

    def hook(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal left
        code = frame.f_code
        is_chroma = event == "call" and code.co_filename.endswith("models/Collection.py")
        is_ours = event == "c_call" and any(caller in code.co_filename for caller in CALLERS)
        if (is_ours and argument.__name__ in C_PRIMITIVES) or (is_chroma and code.co_name in CHROMA_PRIMITIVES):
            left -= 1
            if left == 0:
                os._exit(9)

    sys.setprofile(hook)


def main() -> None:
    action = ACTIONS[sys.argv[1]]
    for storage in sys.argv[2:]:
        child = os.fork()
        if child == 0:
            index = Index(Path(storage), EMBEDDING)
            die_before_call(int(Path(storage).name))
            action(index)
            sys.setprofile(None)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status not in (0, 9):
            raise SystemExit(f"{storage}: {status}")
        print("died" if status == 9 else "done", flush=True)
        if status == 0:
            break


if __name__ == "__main__":
    main()
