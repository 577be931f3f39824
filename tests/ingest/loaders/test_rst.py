"""reStructuredText: sections at underlined titles, the source as it is."""

from __future__ import annotations

from tests.ingest.loaders.documents import headings, load, texts

SOURCE = """\
.. _top:

=====
Kilns
=====

See :ref:`using them <use>`.

.. _use:
Use
===
Plug ``it`` in :class:`~kiln.Oven` way
--------------------------------------
.. versionadded:: 2.1
   The heater.

Code::

   Not a title
   -----------

=====  =====
Part   Price
=====  =====
Door   12
=====  =====

+------+----+
| Lamp | 3  |
+------+----+

----

Text behind a line.
Two lines are no title
----------------------

End
===
"""


def test_headings_are_found_and_nothing_is_lost(tmp_path):
    (tmp_path / "a.rst").write_text(SOURCE)

    document = load(tmp_path / "a.rst")

    assert document.title == "Kilns"
    assert headings(document) == ["", "Kilns", "Kilns › Use", "Kilns › Use › Plug it in ~kiln.Oven way", "Kilns › End"]
    assert "".join(texts(document)) == SOURCE


def test_nothing_is_included(tmp_path):
    (tmp_path / "secret.txt").write_text("swordfish")
    (tmp_path / "a.rst").write_text(".. include:: secret.txt\n\n.. raw:: html\n   :file: secret.txt\n")

    assert "swordfish" not in texts(load(tmp_path / "a.rst"))[0]
