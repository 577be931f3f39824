"""A kept conversation as the page is given it."""

from rag.ui.turns import nested


def test_steps_are_put_into_those_they_are_parts_of():
    def step(step_id, parent_id=None):
        return {"id": step_id, "parentId": parent_id}

    steps = [step("q1"), step("run", "q1"), step("a1", "run"), step("a2", "run"), step("q2"), step("x", "?")]
    whole = nested(steps)
    assert [found["id"] for found in whole] == ["q1", "q2", "x"]
    (run,) = whole[0]["steps"]
    assert [found["id"] for found in run["steps"]] == ["a1", "a2"]
