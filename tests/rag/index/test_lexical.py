"""Words in tantivy: found by any of their forms, only inside the scope, whatever the question contains."""

from __future__ import annotations

import resource
from contextlib import closing

import pytest

from rag.index.lexical import LexicalEntry, LexicalIndex, LexicalWriter, lexical_entries
from rag.types.documents import Chunk

ENTRIES = (
    LexicalEntry("doc_a:1:0", "vs_1", "Pump manual", "Maintenance", "The bearings need oil every 90 days."),
    LexicalEntry("doc_a:1:1", "vs_1", "Pump manual", "Storage", "Keep the crate dry."),
    LexicalEntry("doc_b:1:0", "vs_1", "Travel", "", "A café in Zürich costs 12 EUR. Привет, мир."),
    LexicalEntry("doc_c:1:0", "vs_2", "Travel", "", "Oil is expensive."),
)


@pytest.fixture
def writer(tmp_path):
    with closing(LexicalWriter(LexicalIndex(tmp_path / "words"))) as writer:
        writer.add(ENTRIES)
        yield writer


@pytest.fixture
def words(writer):
    return writer.index


def ids(words, question, collections=("vs_1", "vs_2"), limit=10, versions=None):
    return [chunk_id for chunk_id, _ in words.search(question, collections, limit, versions)]


def test_finds_by_any_form_of_a_word_best_first(words):
    assert ids(words, "How do I oil a bearing?")[0] == "doc_a:1:0"
    assert ids(words, "OILED") == ids(words, "oil")
    scores = [score for _, score in words.search("oil bearing", ("vs_1", "vs_2"), 10)]
    assert scores == sorted(scores, reverse=True)
    assert min(scores) > 0


def test_titles_and_headings_count_but_less_than_the_body(words, writer):
    assert set(ids(words, "pump")) == {"doc_a:1:0", "doc_a:1:1"}
    assert ids(words, "maintenance") == ["doc_a:1:0"]
    writer.add([LexicalEntry("doc_d:1:0", "vs_1", "Something", "", "Travel")])
    assert ids(words, "travel")[0] == "doc_d:1:0"


def test_other_words_count_for_half(words, writer):
    writer.add([LexicalEntry("doc_d:1:0", "vs_3", "", "", "zinc"), LexicalEntry("doc_e:1:0", "vs_3", "", "", "lead")])
    found = dict(words.search("zinc", ("vs_3",), 10, other_words="lead zinc"))
    assert found["doc_e:1:0"] == pytest.approx(found["doc_d:1:0"] / 2)


def test_questions_that_are_not_english_find_other_forms_of_a_word(words, writer):
    bodies = ("Es gelten Kündigungsfristen.", "Die Kündigung ist schriftlich.", "Die Kundenkartei ist voll.")
    writer.add(LexicalEntry(f"doc_g:1:{number}", "vs_g", "", "", body) for number, body in enumerate(bodies))
    assert set(ids(words, "Kündigungsfrist?", ("vs_g",))) == {"doc_g:1:0", "doc_g:1:1"}
    assert set(ids(words, "Kündigungsfrist?", versions=["doc_g:1"])) == {"doc_g:1:0", "doc_g:1:1"}
    assert ids(words, "the Kundigungsfrist", ("vs_g",)) == []  # by its words an English question
    assert ids(words, "Wo steht die Kündigung?", ("vs_g",))[0] == "doc_g:1:1"  # the form that is asked for comes first


def test_a_rare_form_tells_no_more_than_its_word(words, writer):
    """All have some form of one word; the one with the rarest form is not for that the best."""
    bodies = ["Договоры подписаны, отпуск оплачен."] + ["Договор подписан."] * 8 + ["Договорами не занимались."]
    writer.add(LexicalEntry(f"doc_r:1:{number}", "vs_r", "", "", body) for number, body in enumerate(bodies))
    assert ids(words, "договорами отпуск", ("vs_r",))[0] == "doc_r:1:0"


def pieces(*texts, record="r"):
    return [
        Chunk(f"doc_p:1:{number}", "doc_p", number, None, None, "", record, 0, len(text), text)
        for number, text in enumerate(texts)
    ]


def bodies_of(chunks):
    return [entry.body for entry in lexical_entries("Title", "vs_1", chunks)]


def test_a_short_chunk_in_another_language_has_the_words_beside_it():
    first, second, third = bodies_of(
        pieces("Ноябрь был холодным 1062.", "Декабрь был тёплым.", "Январь снова холодным.")
    )
    assert [first.count("Ноябрь"), first.count("Декабрь"), first.count("Январь")] == [2, 1, 0]
    assert [second.count("Ноябрь"), second.count("Декабрь"), second.count("Январь")] == [1, 2, 1]
    assert "1062" not in second  # what asks for a number is sent to the chunk that has it
    assert first.count("1062") == 1
    assert "Ноябрь" not in third


def test_english_long_and_lonely_chunks_are_indexed_as_they_are():
    english = ["The pump is old and it is green.", "It was bought in March."]
    assert bodies_of(pieces(*english)) == english
    long = ["Ноябрь был холодным. " * 40, "Декабрь был тёплым."]
    assert bodies_of(pieces(*long))[0] == long[0]
    assert bodies_of(pieces("Декабрь был тёплым.")) == ["Декабрь был тёплым."]
    apart = [*pieces("Ноябрь был холодным.", record="a"), *pieces("Декабрь был тёплым.", record="b")]
    assert bodies_of(apart) == ["Ноябрь был холодным.", "Декабрь был тёплым."]


def test_within_documents_a_word_tells_as_much_as_it_does_there(words, writer):
    """Everywhere "annual" is rare and "profit" is not; in the report it is on every page."""
    report = [("Annual annual annual figures.", "0"), ("Annual profit.", "1"), ("Annual notes.", "2")]
    writer.add(LexicalEntry(f"doc_r:1:{number}", "vs_1", "", "", body) for body, number in report)
    writer.add(LexicalEntry(f"doc_x:1:{number}", "vs_1", "", "", "Their profit.") for number in range(30))
    within = [chunk_id for chunk_id, _ in words.search("annual profit", None, 10, ["doc_r:1"])]
    assert within[0] == "doc_r:1:1"
    score = dict(words.search("annual", None, 10, ["doc_r:1"]))["doc_r:1:2"]
    assert score < dict(words.search("annual", None, 10))["doc_r:1:2"] / 5


@pytest.mark.parametrize("question", ["", "   ", "the of and", "what is it?", "xylophone", "?!…", "\0", "🦊"])
def test_questions_without_a_known_word_find_nothing(words, question):
    assert ids(words, question) == []


@pytest.mark.parametrize(
    ("question", "found"),
    [("cafe ZURICH", "doc_b:1:0"), ("Café", "doc_b:1:0"), ("привет", "doc_b:1:0"), ("12", "doc_b:1:0")],
)
def test_unicode(words, question, found):
    assert ids(words, question) == [found]


@pytest.mark.parametrize(
    "question",
    [
        'oil"',
        '"oil',
        "oil AND NOT bearings",
        "body:oil",
        "oil*",
        "oil~2 ^3",
        "+oil -bearings",
        "(oil",
        "oil) OR (",
        "[oil TO *]",
        "oil\\",
        "{oil}",
        "oil && || !",
        "id:doc_a",
        "oil\n\n\toil " + "oil " * 3000,
    ],
)
def test_operators_in_a_question_are_harmless(words, question):
    assert set(ids(words, question)) >= ({"doc_a:1:0", "doc_c:1:0"} if "oil" in question else set())


def test_the_scope_is_kept_and_an_empty_one_finds_nothing(words):
    assert ids(words, "oil", ("vs_1",)) == ["doc_a:1:0"]
    assert ids(words, "oil", ("vs_2",)) == ["doc_c:1:0"]
    assert ids(words, "oil", ()) == ids(words, "oil", ("vs_9",)) == []
    assert ids(words, "oil", versions=["doc_c:1"]) == ["doc_c:1:0"]
    assert ids(words, "oil", versions=[]) == ids(words, "oil", versions=["doc_c:2"]) == []


def test_the_scope_does_not_change_the_scores(words):
    everywhere = dict(words.search("oil", ("vs_1", "vs_2"), 10))
    assert dict(words.search("oil", ("vs_2",), 10))["doc_c:1:0"] == pytest.approx(everywhere["doc_c:1:0"])


def test_deletion_and_limit(words, writer):
    assert len(ids(words, "oil", limit=1)) == 1
    writer.delete(["doc_a:1", "never there"])
    assert ids(words, "oil") == ["doc_c:1:0"]
    assert words.count() == 2
    writer.delete(words.versions())
    assert (words.count(), ids(words, "oil")) == (0, [])


def test_deleting_one_version_leaves_others_whose_name_begins_alike(words, writer):
    writer.add([LexicalEntry("doc_a:11:0", "vs_1", "", "", "oil")])
    writer.delete(["doc_a:1"])
    assert ids(words, "oil", ("vs_1",)) == ["doc_a:11:0"]


def test_a_version_is_rewritten_with_the_next_commit(words, writer):
    writer.rewrite("doc_a:1", [ENTRIES[0]])
    assert set(ids(words, "pump")) == {"doc_a:1:0", "doc_a:1:1"}
    writer.commit()
    assert ids(words, "pump") == ["doc_a:1:0"]


def test_after_a_write_that_failed_the_next_one_is_kept(words, writer):
    """tantivy's own writer says nothing, and loses it."""
    before = words.count()
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, unlimited[1]))
    try:
        with pytest.raises(ValueError, match=r"os error 27|code: 27"):
            writer.add([LexicalEntry("doc_x:1:0", "col", "", "", "walrus")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    writer.add([LexicalEntry("doc_y:1:0", "col", "", "", "walrus")])
    assert words.versions() >= {"doc_y:1"}
    assert "doc_x:1" not in words.versions()
    assert words.count() == before + 1


def test_what_was_added_is_there_after_reopening(tmp_path):
    with closing(LexicalWriter(LexicalIndex(tmp_path))) as writer:
        writer.add(ENTRIES)
    with closing(LexicalWriter(LexicalIndex(tmp_path))) as writer:
        assert writer.index.count() == 4
        assert ids(writer.index, "oil bearings")[0] == "doc_a:1:0"


def test_no_word_is_in_more_chunks_than_there_are(words, writer):
    writer.add(LexicalEntry(f"doc_{name}:1:0", "vs_3", "", "", "walrus") for name in "defghij")
    writer.delete(f"doc_{name}:1" for name in "abcdefgh")
    assert words.count() == 2
    assert words.terms_with_prefix("walrus") == {"walrus": 2}
