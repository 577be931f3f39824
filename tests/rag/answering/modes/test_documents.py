"""A message is answered by its kind: what is searched, what the model is told, and what is said without one."""

from __future__ import annotations

import pytest

from rag.answering.message_kinds import classify
from rag.answering.modes.documents import _PERHAPS, _SURE, documents
from rag.answering.modes.request import Request
from rag.types.chat import Functions
from rag.types.documents import ChunksRetrieved, Message, MessageClassified, Scope
from rag.types.models import LanguageModel
from tests.rag.answering.modes.conftest import PUMP
from tests.rag.answering.modes.speaking import speaking
from tests.rag.versions import make_version

QUOTES = LanguageModel("quotes", "quotes", "")
HISTORY = [
    Message("user", "How often does the pump need oil?"),
    Message("assistant", "The pump needs oil every 90 days [2]."),
]


@pytest.fixture
def answered(everything, make_engine):
    """The events of a message, and its answer."""

    async def answered(model, text, *history, scope=everything, **request):
        events = []
        asked = Request([*history, Message("user", text)], scope, **request)
        return events, await documents(make_engine(model), asked, events.append)

    return answered


async def test_small_talk_is_answered_without_a_search(filled, answered):
    model = speaking(lambda _: "Hello [1]!")
    events, answer = await answered(model, "good morning")
    assert events[0] == MessageClassified("small_talk")
    assert not any(isinstance(event, ChunksRetrieved) for event in events)
    assert (answer.kind, answer.text, answer.citations) == ("small_talk", "Hello [1]!", ())
    assert "The pump" not in model.llm.asked[0][0]


async def test_without_a_model_small_talk_is_greeted_in_its_language(filled, answered):
    for text, beginning in [
        ("hello", "Hello!"),
        ("guten Morgen", "Hallo!"),
        ("merci", "Je vous en prie."),
        ("adiós", "¡Hasta luego!"),
    ]:
        _, answer = await answered(QUOTES, text)
        assert answer.text.startswith(beginning)


async def test_the_documents_are_listed_with_their_beginnings(filled, answered):
    events, answer = await answered(QUOTES, "which documents do you have?")
    assert answer.kind == "collection"
    assert answer.text == "There are 2 documents:\n\n- Title doc_b [1]\n- Title doc_a [2]"
    assert [(c.number, c.document_id, c.quote) for c in answer.citations] == [
        (1, "doc_b", "Hotels cost 185 EUR a night."),
        (2, "doc_a", PUMP[0].splitlines()[0]),
    ]
    assert [type(event).__name__ for event in events] == ["MessageClassified", "ChunksRetrieved", "TextDelta"]


async def test_only_documents_in_the_scope_are_listed_and_not_without_end(filled, bag_of_words, answered, everything):
    for number in range(30):
        filled.replace_documents([make_version(f"doc_{number:02}", [f"Number {number}."], bag_of_words)])
    _, answer = await answered(QUOTES, "welche Dokumente hast du?")
    assert answer.text.startswith("Es gibt 32 Dokumente:\n\n- Title doc_29 [1]\n")
    assert answer.text.endswith("- Title doc_10 [20]\n… und 12 weitere.")
    _, answer = await answered(
        QUOTES, "which documents do you have?", scope=Scope(everything.collection_ids, frozenset({"doc_a"}))
    )
    assert answer.text == "There is 1 document:\n\n- Title doc_a [1]"
    _, answer = await answered(QUOTES, "which documents do you have?", scope=Scope(()))
    assert answer.text.startswith("There are no documents yet.")


async def test_documents_on_a_topic_are_searched(filled, answered):
    _, answer = await answered(QUOTES, "is there a document about oil among the files?")
    assert answer.kind == "collection"
    assert answer.text == "By what they say, these are about oil:\n\n- Title doc_a [1]"
    assert "oil" in answer.citations[0].quote
    _, answer = await answered(QUOTES, "is there a document about zebras among the files?")
    assert (answer.text, answer.found) == ("Nothing in your documents is about zebras.", False)


async def test_a_document_that_is_asked_for_by_name_is_found(filled, bag_of_words, answered):
    filled.replace_documents([make_version("doc_c", ["Rent."], bag_of_words, title="Lease of the workshop")])
    _, answer = await answered(QUOTES, "do you have the lease of the workshop?")
    assert answer.text.splitlines()[0] == "There are 3 documents."
    assert answer.text.endswith("\n\n- Lease of the workshop [1]")


async def test_the_chosen_document_is_summarised(filled, answered, everything):
    model = speaking(lambda _: "The pump needs oil every 90 days [1].")
    scope = Scope(everything.collection_ids, frozenset({"doc_a"}))
    _, answer = await answered(model, "summarize this document", scope=scope)
    assert answer.kind == "document"
    assert answer.text == "The pump needs oil every 90 days [1].\n\nRead 2 pages of 2 in 1 document."
    assert "Hotels" not in model.llm.asked[0][0]


async def test_the_named_document_is_summarised_and_without_a_model_quoted(filled, bag_of_words, answered):
    filled.replace_documents(
        [make_version("doc_c", ["The lease of the workshop ends in May."], bag_of_words, title="Lease of the workshop")]
    )
    model = speaking(lambda _: "It ends in May [1].")
    _, answer = await answered(model, "give me a summary of the lease of the workshop")
    assert answer.text.startswith("It ends in May [1].")
    _, answer = await answered(QUOTES, "give me a summary of the lease of the workshop")
    assert [citation.document_id for citation in answer.citations] == ["doc_c"]


async def test_the_document_of_the_last_answer_is_meant(filled, answered):
    model = speaking(lambda _: "About a pump [1].")
    _, answer = await answered(model, "what is this document about?", *HISTORY)
    assert answer.text == "About a pump [1].\n\nRead 2 pages of 2 in 1 document."


async def test_where_nobody_can_tell_which_document_is_meant_one_is_asked(filled, answered):
    model = speaking(lambda _: "")
    _, answer = await answered(model, "summarize this document")
    assert answer.text.startswith("Which document do you mean? Name it, or choose it.\nThere are 2 documents:")
    assert not model.llm.asked


async def test_work_on_the_conversation_has_the_sources_of_the_last_question(filled, answered):
    model = speaking(lambda _: "Die Pumpe braucht alle 90 Tage Öl [1].")
    events, answer = await answered(model, "translate that into German", *HISTORY)
    assert events[0] == MessageClassified("conversation")
    ((prompt, _),) = model.llm.asked
    assert "done with what was said" in prompt
    assert PUMP[0] in prompt
    assert "assistant: The pump needs oil every 90 days." in prompt
    assert [citation.document_id for citation in answer.citations] == ["doc_a"]


async def test_without_a_model_nothing_can_be_done_with_what_was_said(filled, answered):
    _, answer = await answered(QUOTES, "übersetze das ins Englische", *HISTORY)
    assert answer.text == "Dazu braucht es ein Sprachmodell, und es gibt keines."


async def test_what_is_open_is_decided_by_what_the_documents_have(filled, bag_of_words, answered):
    """The words alone leave it open whether this is small talk."""
    text = "a zebra is fun"
    guess = classify(text, has_history=False)
    assert (guess.kind, _PERHAPS <= guess.lead < _SURE) == ("small_talk", True)
    model = speaking(lambda _: "Indeed.")
    _, without = await answered(model, text)
    filled.replace_documents([make_version("doc_c", ["A zebra is fun to draw."], bag_of_words)])
    _, answer = await answered(model, text)
    assert (without.kind, answer.kind) == ("small_talk", "question")


async def test_where_functions_can_be_called_every_message_is_a_question(filled, answered):
    model = speaking(lambda _: "Hi.")
    object.__setattr__(model, "calls_functions", True)
    events, answer = await answered(model, "good morning", functions=Functions(({"name": "weather"},)))
    assert answer.kind == "question"
    assert not any(isinstance(event, MessageClassified) for event in events)
