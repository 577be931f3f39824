"""Conversations are their owner's, come back as they were, and lose what quotes a document that goes."""

from __future__ import annotations

from contextlib import closing

import pytest

from rag.auth.users import Users
from rag.errors import NotFound
from rag.index.index import Index
from rag.storage.conversations import (
    DELETED_ANSWER,
    Conversations,
    Element,
    Step,
    preferences,
    put_preferences,
    title_of,
)
from rag.storage.database import CATALOG_NAME
from rag.storage.feedback import delete_feedback, feedback_in, list_feedback, put_feedback
from rag.types.documents import LOCAL_PRINCIPAL
from tests.rag.versions import make_version

pytestmark = pytest.mark.databases

QUESTION = Step("q1", "user_message", "How often does the pump need oil?")
RUN = Step("r1", "run", "", {"name": "on_message"}, "q1")
NOTE = Step("n1", "retrieval", "", {"name": "Searched for “zanzibar”"}, "r1")
ANSWER = Step("a1", "assistant_message", "Every zanzibar days [1].", {"metadata": {"question": "q1"}}, "r1")
NOTES = Element("e1", "a1", {"props": {"citations": [{"number": 1, "quote": "zanzibar"}]}})


@pytest.fixture
def index(tmp_path, bag_of_words, database):
    with closing(Index(tmp_path / "storage", bag_of_words, database)) as index:
        index.replace_documents(
            [make_version(name, ["The pump needs oil."], bag_of_words) for name in ("doc_a", "doc_b")]
        )
        yield index


@pytest.fixture
def own(index):
    return Conversations(index.catalog.database, LOCAL_PRINCIPAL)


@pytest.fixture
def others(index):
    return Conversations(index.catalog.database, Users(index.catalog.database).add("ben").id)


def talk(own, conversation_id="c1", documents=("doc_a",)):
    own.begin(conversation_id, QUESTION.text)
    for step in (QUESTION, RUN, NOTE):
        own.put_step(conversation_id, step)
    own.put_step(conversation_id, ANSWER, "q1", documents)
    own.put_element(conversation_id, NOTES)


def test_what_was_said_comes_back_in_its_order(own):
    talk(own)
    own.put_step("c1", Step("n1", "retrieval", "", {"name": "Found it"}, "r1"))
    assert [step.id for step in own.steps("c1")] == ["q1", "r1", "n1", "a1"]
    assert own.steps("c1")[2].body == {"name": "Found it"}
    assert own.steps("c1")[3] == ANSWER
    assert own.elements("c1") == [NOTES]
    assert own.get("c1").title == QUESTION.text


def test_a_conversation_does_not_exist_for_others(own, others):
    talk(own)
    before = own.steps("c1")
    for attempt in (
        lambda: others.get("c1"),
        lambda: others.steps("c1"),
        lambda: others.elements("c1"),
        lambda: others.begin("c1", "Mine"),
        lambda: others.rename("c1", "Mine"),
        lambda: others.set_settings("c1", {}),
        lambda: others.put_step("c1", Step("x", "assistant_message", "Mine")),
        lambda: others.edit("c1", QUESTION),
        lambda: others.put_element("c1", NOTES),
        lambda: others.delete_element("c1", "e1"),
        lambda: others.delete_step("c1", "a1"),
        lambda: others.conversation_of("a1"),
        lambda: others.delete("c1"),
        lambda: others.page(10, after="c1"),
        lambda: put_feedback(own._database, others._owner_id, "a1", "", is_good=False),
    ):
        with pytest.raises(NotFound):
            attempt()
    assert others.page(10) == ([], False)
    assert own.steps("c1") == before


def test_a_step_cannot_be_taken_over_from_another_conversation(own, others):
    talk(own)
    others.begin("c2", "Mine")
    with pytest.raises(NotFound):
        others.put_step("c2", Step("a1", "assistant_message", "Mine"))
    others.delete_step("c2", "a1")
    others.delete_element("c2", "e1")
    others.put_element("c2", Element("e9", "a1", {}))
    assert own.steps("c1")[-1] == ANSWER
    assert own.elements("c1") == [NOTES]


def test_a_page_shows_the_last_used_first(own):
    for number in range(5):
        own.begin(f"c{number}", f"Question {number}")
    own.put_step("c1", Step("s1", "user_message", "100 % Öl"))
    first, has_more = own.page(3)
    second, ends = own.page(3, after=first[-1].id)
    assert [c.id for c in [*first, *second]] == ["c1", "c4", "c3", "c2", "c0"]
    assert (has_more, ends) == (True, False)
    assert [c.id for c in own.page(3, search="question 3")[0]] == ["c3"]
    assert [c.id for c in own.page(3, search="0 % Öl")[0]] == ["c1"]
    assert own.page(3, search="1%")[0] == []


def test_a_title_is_one_short_line():
    assert title_of(" How\n often? ") == "How often?"
    assert len(title_of("word " * 40)) <= 80
    assert title_of("word " * 40).endswith("word…")


def test_a_question_without_words_leaves_the_title_to_the_next(own):
    own.begin("c1", "")
    own.put_step("c1", Step("q0", "user_message", ""))
    own.put_step("c1", QUESTION)
    assert own.get("c1").title == QUESTION.text


def test_an_edited_question_loses_what_was_done_for_it(own):
    talk(own)
    own.edit("c1", Step("q1", "user_message", "Why?"))
    assert [(step.id, step.text) for step in own.steps("c1")] == [("q1", "Why?")]
    assert own.elements("c1") == []


def test_with_a_document_goes_what_was_said_since_it_was_read(own, index, tmp_path):
    talk(own)
    later = Step("a2", "assistant_message", "As I said: zanzibar.", {"metadata": {"answer": "zanzibar"}})
    own.put_step("c1", Step("q2", "user_message", "Again?"))
    own.put_step("c1", later, "q2", [])
    own.begin("c2", "Other")
    own.put_step("c2", Step("q3", "user_message", "Other?"))
    own.put_step("c2", Step("a3", "assistant_message", "Another answer."), "q3", ["doc_b"])
    put_feedback(index.catalog.database, LOCAL_PRINCIPAL, "a1", "zanzibar?", is_good=True)
    index.delete_documents(["doc_a"])
    told = [(step.id, step.text) for step in own.steps("c1")]
    assert told == [
        ("q1", QUESTION.text),
        ("r1", ""),
        ("a1", DELETED_ANSWER),
        ("q2", "Again?"),
        ("a2", DELETED_ANSWER),
    ]
    assert own.elements("c1") == []
    assert own.steps("c2")[-1].text == "Another answer."
    index.catalog.database.shrink()
    for file in (tmp_path / "storage").glob(f"{CATALOG_NAME}*"):
        assert b"zanzibar" not in file.read_bytes()


def test_feedback_is_kept_with_question_answer_and_passages(own, index):
    database = index.catalog.database
    talk(own)
    passages = {"metadata": {"question": "q1", "passages": ["doc_a:3:10-20"]}}
    own.put_step("c1", Step("a1", "assistant_message", "Every 90 days.", passages, "r1"))
    first = put_feedback(database, LOCAL_PRINCIPAL, "a1", "", is_good=False)
    assert put_feedback(database, LOCAL_PRINCIPAL, "r1", "Right.", is_good=True) == first  # as Chainlit's page does
    (found,) = list_feedback(database)
    assert (found.user, found.is_good, found.comment) == ("local", True, "Right.")
    assert (found.question, found.answer) == (QUESTION.text, "Every 90 days.")
    assert found.passages == ("doc_a:3:10-20",)
    assert feedback_in(database, "c1") == dict.fromkeys(("a1", "r1"), (first, True, "Right."))
    assert not delete_feedback(database, "prn_other", first)
    assert delete_feedback(database, LOCAL_PRINCIPAL, first)
    assert list_feedback(database) == []


def test_with_a_user_go_conversations_and_preferences(index, others):
    database = index.catalog.database
    talk(others)
    put_preferences(database, others._owner_id, {"panel": {"top_p": 0.5}})
    assert preferences(database, others._owner_id) == {"panel": {"top_p": 0.5}}
    Users(database).delete("ben")
    for table in ("conversations", "steps", "elements", "preferences"):
        assert database.read(f"SELECT count(*) FROM {table}") == [(0,)]
