"""A kept conversation as the engine and the page are given it."""

from rag.storage.conversations import Step
from rag.ui.turns import Turn, documents_read, nested, turn_metadata, turns_of
from tests.rag.storage.test_votes import place


def test_steps_are_put_into_those_they_are_parts_of():
    def step(step_id, parent_id=None):
        return {"id": step_id, "parentId": parent_id}

    steps = [step("q1"), step("run", "q1"), step("a1", "run"), step("a2", "run"), step("q2"), step("x", "?")]
    roots = nested(steps)
    assert [found["id"] for found in roots] == ["q1", "q2", "x"]
    (run,) = roots[0]["steps"]
    assert [found["id"] for found in run["steps"]] == ["a1", "a2"]


def test_turns_come_back_as_they_were_kept():
    class Read:  # what a passage needs to be named
        document_id, page_index, start, end = "doc_a", 3, 10, 20

    metadata = turn_metadata("q1", "Day 4 [1].", [Read()])
    assert documents_read(metadata) == ["doc_a"]
    assert metadata["passages"] == [place("doc_a")]
    steps = [
        Step("q1", "user_message", "Which day?"),
        Step("a0", "assistant_message", "**small** Day 4.", {"metadata": turn_metadata("q1", "first", [])}),
        Step("a1", "assistant_message", "You chose large.", {"metadata": metadata}),
        Step("q2", "user_message", "Stopped?"),
        Step("a2", "assistant_message", "A note", {"metadata": turn_metadata("q2", None, [])}),
    ]
    assert turns_of(steps) == [Turn("q1", "Which day?", "Day 4 [1]."), Turn("q2", "Stopped?", "")]
