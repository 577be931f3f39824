"""A plan: steps that are answered at once and shown in order, with sources numbered through all of them."""

from __future__ import annotations

import re

import pytest

from rag.answering.modes.plan import read_steps
from rag.answering.replies import reply_to
from rag.errors import BackendUnavailable, InvalidRequest
from rag.types.documents import AnswerCompleted, ChunksRetrieved, Message, Progress, QueryCondensed, TextDelta
from rag.types.models import LanguageModel
from tests.rag.answering.modes.speaking import assert_within_window, speaking
from tests.rag.versions import make_version

NOT_FOUND = reply_to("In English", "not_found")

STEPS = ["How often does the pump need oil?", "What do hotels cost a night?", "Is the crate dry?"]
PLANNED = "\n".join(f"{number}. {step}" for number, step in enumerate(STEPS, start=1))


def planner(planned: str = PLANNED, *, last: str = "Oil [1], and hotels [2].", **more) -> LanguageModel:
    def say(prompt: str) -> str:
        if "Break it into the fewest questions" in prompt:
            return planned
        if "A request was broken into questions" in prompt:
            return last
        return {
            STEPS[0]: "Every 90 days [1]. 12 litres [2].",
            STEPS[1]: "185 EUR a night [1].",
            STEPS[2]: "Keep the crate dry [1].",
        }.get(prompt.rpartition("user: ")[2], "Well [1].")

    return speaking(say, **more)


async def test_steps_are_answered_and_put_together(filled, events_of):
    model = planner()
    *events, completed = await events_of("Tell me of pump, hotels and crate.", model, mode="plan")
    answer = completed.answer
    assert answer.text == "".join(event.text for event in events if isinstance(event, TextDelta))
    parts = answer.text.split("\n\n")
    assert parts[0::2] == [*(f"### {number}. {step}" for number, step in enumerate(STEPS, start=1)), "---"]
    assert [re.sub(r"\[\d\]", "[n]", part) for part in parts[1::2]] == [
        "Every 90 days [n]. 12 litres [n].",
        "185 EUR a night [n].",
        "Keep the crate dry [n].",
        "Oil [n], and hotels [n].",
    ]
    plan = [event for event in events if isinstance(event, Progress)]
    assert [event.doing for event in plan] == [
        "Planning",
        *(f"Step {number}: {step}" for number, step in enumerate(STEPS, start=1)),
    ]
    assert events.index(plan[-1]) < min(n for n, event in enumerate(events) if isinstance(event, TextDelta))
    assert answer.usage.prompt_tokens == sum(len(prompt.split()) for prompt, _ in model.llm.asked)
    assert len(model.llm.asked) == 5
    assert answer.found


async def test_without_retrieval_the_steps_are_the_models_own(filled, events_of):
    model = planner(last="All in all.")
    turns = [Message("user", "A pump?"), Message("assistant", "Yes."), Message("user", "Tell me of it, and of hotels.")]
    *_, completed = await events_of(turns, model, mode="plan", retrieval=False)
    assert completed.answer.text.count("### ") == 3
    assert completed.answer.text.endswith("All in all.")
    assert not completed.answer.citations
    prompts = [prompt for prompt, _ in model.llm.asked]
    assert "user: A pump?" in prompts[0]
    assert f"user: {STEPS[0]}" in prompts
    assert not any("every 90 days" in prompt for prompt in prompts[:4])


async def test_sources_have_one_number_in_all_parts(filled, events_of):
    *events, completed = await events_of("Tell me of all.", planner(), mode="plan")
    answer = completed.answer
    assert [passage.number for passage in answer.passages] == list(range(1, len(answer.passages) + 1))
    assert len({(p.document_id, p.page_index, p.start, p.end) for p in answer.passages}) == len(answer.passages)
    retrieved = [event for event in events if isinstance(event, ChunksRetrieved)]
    assert retrieved[-1].passages == answer.passages
    assert len(retrieved[0].passages) <= len(answer.passages)
    assert {hit.chunk.document_id for hit in retrieved[-1].hits} == {"doc_a", "doc_b"}
    cited = {citation.number: citation for citation in answer.citations}
    assert len(cited) == len(answer.citations)
    hotel = next(passage for passage in answer.passages if passage.document_id == "doc_b")
    assert f"185 EUR a night [{hotel.number}]." in answer.text
    assert cited[hotel.number].quote == "Hotels cost 185 EUR a night."
    assert set(cited) == {int(number) for number in re.findall(r"\[(\d)\]", answer.text)}
    for claim in answer.claims:
        assert set(claim.numbers) <= set(cited)
    verdicts = {answer.text[claim.start : claim.end]: claim.verdict for claim in answer.claims}
    assert verdicts[f"185 EUR a night [{hotel.number}]."] == "supported"
    assert [text for text, verdict in verdicts.items() if verdict == "unsupported" and "litres" in text]


@pytest.mark.parametrize(("parallel", "expected"), [(10, 3), (2, 2), (1, 1)])
async def test_steps_are_worked_on_at_once_and_shown_in_order(filled, events_of, parallel, expected):
    def say(prompt: str) -> str:
        step = prompt.rpartition("user: ")[2]
        if "Break it" in prompt:
            return PLANNED
        return "".join(f"{step.rstrip('?')} {n} [1]. " for n in range(100 if step == STEPS[0] else 30))

    model = speaking(say, tokens_per_second=1000)  # slower than a search
    settings = {"modes": {"max_concurrent_requests": parallel}}
    *events, _ = await events_of("Tell all.", model, mode="plan", settings=settings)
    assert model.llm.most_at_once == expected
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    places = [text.index(f"### {number}. {step}") for number, step in enumerate(STEPS, start=1)]
    assert places == sorted(places)
    for step, start, end in zip(STEPS, places, [*places[1:], text.index("---")], strict=True):
        assert text.count(step.rstrip("?"), start, end) == (101 if step == STEPS[0] else 31), "whole, under its heading"


@pytest.mark.parametrize("planned", ["1. How often does the pump need oil?", "I would look into the oil.", ""])
async def test_one_step_is_answered_as_any_question(filled, events_of, planned):
    *events, completed = await events_of(STEPS[0], planner(planned), mode="plan")
    assert completed.answer.text == "Every 90 days [1]. 12 litres [2]."
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == completed.answer.text


async def test_what_is_not_found_is_said_at_its_step(filled, events_of):
    planned = f"1. {STEPS[0]}\n2. Who won the regatta of Henley?"
    model = planner(planned)
    *_, completed = await events_of("Tell me of both.", model, mode="plan")
    answer = completed.answer
    assert "### 2. Who won the regatta of Henley?\n\nNothing in your documents is about Henley." in answer.text
    assert "---" not in answer.text, "there is nothing to put together"
    assert answer.found
    assert all(NOT_FOUND not in answer.text[claim.start : claim.end] for claim in answer.claims)


async def test_a_follow_up_is_planned_as_it_is_meant(filled, events_of):
    inner = planner()

    def say(prompt: str) -> str:
        return "Tell me of pump and hotels." if "Rewritten question" in prompt else inner.llm._say(prompt)

    model = speaking(say)
    messages = [Message("user", "Is there a pump?"), Message("assistant", "Yes."), Message("user", "And hotels?")]
    events = await events_of(messages, model, mode="plan")
    assert events[0] == QueryCondensed("Tell me of pump and hotels.")
    assert model.llm.asked[1][0].endswith("user: Tell me of pump and hotels.")


@pytest.mark.parametrize("window", [500, 900])
async def test_small_windows_are_kept(index, bag_of_words, events_of, window):
    pages = [f"The pump number {n} needs oil. " + "Words fill this page to its end. " * 12 for n in range(30)]
    index.replace_documents([make_version("doc_a", pages, bag_of_words)])
    planned = "1. Which words fill this page to its end?\n2. Which pump number needs oil?"

    def say(prompt: str) -> str:
        return planned if "Break it" in prompt else "".join(f"Pump {n} needs oil [1]. " for n in range(200))

    model = speaking(say, window=window, max_tokens=1000)
    *_, completed = await events_of("Tell me of all.", model, mode="plan")
    assert isinstance(completed, AnswerCompleted)
    assert completed.answer.finish_reason == "length"
    assert_within_window(model)
    assert len(model.llm.asked) >= 3


async def test_a_step_that_fails_ends_the_answer(filled, events_of):
    inner = planner()

    def say(prompt: str) -> str:
        if prompt.endswith(STEPS[1]):
            raise BackendUnavailable("Gone.")
        return inner.llm._say(prompt)

    with pytest.raises(BackendUnavailable, match="Gone"):
        await events_of("Tell me of all.", speaking(say), mode="plan")


async def test_it_needs_a_model(filled, events_of):
    with pytest.raises(InvalidRequest, match="needs a language model"):
        await events_of("Tell me.", LanguageModel("quotes", "quotes", "no model"), mode="plan")


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("1. One?\n2. Two?", ["One?", "Two?"]),
        ("Here is the plan:\n\n1) One?\n2) Two?\nThat is all.", ["One?", "Two?"]),
        ("**1. One?**\n**2. Two?**", ["One?", "Two?"]),
        ("1. **One?**\n  2. *Two?*", ["One?", "Two?"]),
        ("Step 1: One?\nStep 2: Two?", ["One?", "Two?"]),
        ("**Step 1**: One?\n**Step 2**: Two?", ["One?", "Two?"]),
        ("- One?\n* Two?\n• Three?", ["One?", "Two?", "Three?"]),
        ("1. One?\n2. One?\n3. Two?", ["One?", "Two?"]),
        ("\n".join(f"{n}. Question {n}?" for n in range(1, 20)), [f"Question {n}?" for n in range(1, 11)]),
        ("One? Two?", []),
        ("In 2021. It rose by 3.5 percent.\n", []),
        ("", []),
    ],
)
def test_plans_are_read_however_they_are_written(text, steps):
    assert read_steps(text) == steps
