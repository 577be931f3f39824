"""Who is told what of an error."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from rag.errors import RagError, StorageUnwritable, public_sentences, set_caller, words_for_caller, words_for_everybody

FULL = StorageUnwritable("/srv/storage cannot be written to: the disk is full.", hint="Make room.", cause="full")


def test_a_thread_of_its_own_tells_no_more_than_everybody_may_know():
    set_caller(runs_footnote=True)
    assert words_for_caller(FULL) == (FULL.message, FULL.hint)
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(words_for_caller, FULL).result() == words_for_everybody(FULL)
    set_caller(runs_footnote=False)
    assert "/srv" not in " ".join(words_for_caller(FULL))


def test_what_is_not_about_the_set_up_is_told_to_everybody():
    assert words_for_everybody(RagError("It is empty.", hint="Fill it.")) == ("It is empty.", "Fill it.")


def test_what_is_told_to_everybody_is_known_as_the_servers_own():
    assert words_for_everybody(FULL)[0] in public_sentences()
    assert "It is empty." not in public_sentences()
