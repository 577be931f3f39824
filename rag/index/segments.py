"""What deleted chunks leave in tantivy's files: their words stay in a segment's dictionary until it is written anew.

tantivy writes segments anew when it merges them, but has no way to ask for that, and a large one may wait for ever. So
whoever wants words gone from the disk moves the chunks that are left in such a segment into another one
(`LexicalWriter.rewrite`), and tantivy deletes what is empty. Which segments those are its searches do not tell:
each is opened here as an index of its own, by links to its files.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from rag.index.lexical import panics_as_errors

_METADATA = "meta.json"  # tantivy's list of an index's segments


@panics_as_errors()
def segments_with_deleted(path: Path, document_ids: Collection[str]) -> dict[str, list[str]]:
    """The segments of the index in `path` that have words of deleted chunks of these documents: by their names, as
    files have them, the versions (`{document}:{version}`) of all chunks that are left in them."""
    while True:
        metadata = _metadata(path)
        views = Path(tempfile.mkdtemp(prefix="footnote-segments-"))
        try:
            return dict(_segments_with_deleted(path, metadata, document_ids, views))
        except (OSError, ValueError):
            if metadata == _metadata(path):  # else a merge has deleted the files meanwhile
                raise
        finally:
            for _ in range(2):  # tantivy makes a lock in the folder of an index a moment after it was opened
                shutil.rmtree(views, ignore_errors=True)


def unlisted_segments(path: Path) -> set[str]:
    """The segments of which there are files in `path` though the index does not have them: of a merge that is going
    on, or deleted but still read by a search."""
    listed = {segment["segment_id"].replace("-", "") for segment in _metadata(path)["segments"]}
    return {file.stem for file in path.glob("*.term")} - listed


def _metadata(path: Path) -> Any:
    return json.loads((path / _METADATA).read_text())


def _segments_with_deleted(
    path: Path, metadata: dict[str, Any], document_ids: Collection[str], views: Path
) -> Iterator[tuple[str, list[str]]]:
    import tantivy

    for segment in metadata["segments"]:
        if segment["deletes"] is None:
            continue
        name = segment["segment_id"].replace("-", "")
        view = views / name
        view.mkdir()
        for file in path.glob(f"{name}.*"):
            (view / file.name).symlink_to(file.absolute())
        (view / _METADATA).write_text(json.dumps(metadata | {"segments": [segment]}))
        searcher = tantivy.Index.open(str(view)).searcher()
        ever = dict(searcher.terms_with_prefix("version", ""))
        left = dict(searcher.terms_with_prefix("version", "", filter_query=tantivy.Query.all_query()))
        deleted = {version.rpartition(":")[0] for version, chunks in ever.items() if left.get(version, 0) < chunks}
        if not deleted.isdisjoint(document_ids):
            yield name, list(left)
