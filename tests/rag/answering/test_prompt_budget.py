"""Prompt and answer fit the window, whoever counts and however; what does not fit goes whole, oldest first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.answering.prompt_budget import fit_prompt, fitting_history, history_room
from rag.errors import InvalidRequest
from rag.types.documents import Message, Passage
from rag.types.models import LanguageModel

RULES = "Answer from the sources only."


def letters(text: str) -> int:
    return len(text)


def estimate(text: str) -> int:
    return len(text.encode()) // 3 + 1


def words(text: str) -> int:
    return len(text.split())


def moody(text: str) -> int:
    """Counts the whole as more, or as less, than its parts, as the text pleases."""
    return max(len(text) // 3 + len(text) ** 2 // 2000 - sum(map(ord, text)) % 90, 0)


def by_template(count):
    """Counts a prompt as a server does that writes 30 tokens around it and 5 around each turn."""
    return lambda messages: 30 + sum(5 + count(message.content) for message in messages)


COUNTERS = [letters, estimate, words, moody]
PROMPT_COUNTERS = [
    lambda _: None,
    by_template(letters),
    by_template(estimate),
    by_template(words),
    by_template(moody),
    lambda messages: 5_000,  # always too much
    lambda messages: 1,
    lambda messages: None if len(messages) % 2 else 700,  # fails now and then
    lambda messages: (sum(len(message.content) for message in messages) * 7919) % 3_000,
]


def passage(number: int, text: str) -> Passage:
    return Passage(number, "doc_a", "Title", "a.pdf", 6, "7", "H", 10, 10 + len(text), text, 0.5)


def turns(*contents: str) -> list[Message]:
    return [Message("assistant" if number % 2 else "user", text) for number, text in enumerate(contents)]


TEXTS = st.one_of(
    st.text(max_size=200),
    st.builds(
        lambda word, times: f"{word} " * times,
        st.sampled_from(["oil", "油", "7,01", "🛢", "x" * 40]),
        st.integers(0, 90),
    ),
)


@given(
    st.lists(TEXTS, max_size=9),
    TEXTS,
    st.lists(TEXTS, max_size=6),
    st.integers(1, 3_000),
    st.integers(1, 2_000),
    st.sampled_from(COUNTERS),
    st.sampled_from(PROMPT_COUNTERS),
)
def test_prompt_and_answer_never_exceed_the_window(earlier, question, texts, window, wanted, count, count_prompt):
    asked = []

    def counted(messages):
        asked.append(count_prompt(messages))
        return asked[-1]

    model = LanguageModel("p", "m", "d", None, window, count, counted)
    earlier = earlier[: len(earlier) // 2 * 2]
    conversation = [*turns(*earlier), Message("user", question)]
    passages = [passage(number, text) for number, text in enumerate(texts, start=1)]
    try:
        prompt = fit_prompt(model, RULES, conversation, passages, wanted)
    except InvalidRequest:
        return
    finally:
        assert len(asked) <= 5
    told = count_prompt(prompt.messages)
    if told is None:
        told = sum(count(message.content) for message in prompt.messages)
    assert told + prompt.max_tokens <= window
    assert prompt.passages or not passages
    system, *history, last = prompt.messages
    assert system.role == "system"
    assert system.content.startswith(RULES)
    assert last == conversation[-1]
    assert history == conversation[len(conversation) - 1 - len(history) : -1], "the latest, in their order"
    assert len(history) % 2 == 0, "whole exchanges"
    for before, after in zip(passages, prompt.passages, strict=False):
        assert before.text.startswith(after.text)


EXCHANGES = turns("What of oil?", "It is needed [1].") * 3
SOURCES = [passage(number, f"Passage {number} says: " + "the pump needs oil. " * 10) for number in range(1, 7)]


CONVERSATION = [*EXCHANGES, Message("user", "How often?")]


def fit(model: LanguageModel, conversation=CONVERSATION, wanted: int = 100):
    return fit_prompt(model, RULES, conversation, SOURCES, wanted)


def test_what_fits_is_told_whole_and_counted_once():
    asked = []

    def count_prompt(messages):
        asked.append(messages)
        return by_template(words)(messages)

    prompt = fit(LanguageModel("p", "m", "d", None, 4_000, estimate, count_prompt))
    assert len(asked) == 1
    assert len(prompt.messages) == 8
    assert prompt.passages == tuple(SOURCES)


@pytest.mark.parametrize("window", [500, 700, 900])
@pytest.mark.parametrize("real", [letters, estimate, words])
def test_the_real_tokenizer_decides_how_much_goes_in(window, real):
    """What an estimate would leave out goes in, and what it would let through does not."""
    count_prompt = by_template(lambda text: real(text) // (4 if real is letters else 1))
    room = window - 100
    try:
        prompt = fit(LanguageModel("p", "m", "d", None, window, letters, count_prompt))
    except InvalidRequest:
        pytest.fail(f"{window} tokens are enough for a passage")
    told = count_prompt(prompt.messages)
    one_more = count_prompt(
        [Message("user", SOURCES[0].text + "<source 7 abcdef: Title, page 7, H></source 7 abcdef>")]
    )
    assert told <= room
    assert prompt.passages == tuple(SOURCES) or told + one_more > room * 0.85


def test_a_huge_answer_takes_its_question_along():
    huge = "It is needed. " * 500
    history = turns("What of oil?", "Needed [1].", "Tell more.", huge, "And then?", "No more.")
    assert fitting_history(history, words, 100) == history[4:]
    assert fitting_history(turns("Tell more.", huge), words, 100) == []
    assert fitting_history(turns(huge, "No."), words, 100) == [], "nor stays an answer without its question"
    assert fitting_history(history, words, 10_000) == history


def test_a_question_that_leaves_no_room_is_refused_after_one_look():
    asked = []

    def count_prompt(messages):
        asked.append(messages)
        return by_template(words)(messages)

    with pytest.raises(InvalidRequest, match="reads 600 tokens") as raised:
        fit(LanguageModel("p", "m", "d", None, 600, estimate, count_prompt), [Message("user", "why oil " * 900)])
    assert raised.value.param == "messages"
    assert len(asked) == 1


def test_the_answer_takes_at_most_a_third_of_the_window():
    model = LanguageModel("p", "m", "d", None, 3_000, estimate)
    assert fit(model, wanted=9_000).max_tokens == 1_000
    assert fit(model, wanted=50).max_tokens == 50


def test_without_sources_the_history_has_all_the_room():
    model = LanguageModel("p", "m", "d", None, 1_000, words)
    history = turns("What of oil? " * 8, "It is needed. " * 8) * 20
    prompt = fit_prompt(model, RULES, [*history, Message("user", "How often?")], [], 100)
    assert prompt.passages == ()
    assert prompt.messages[0] == Message("system", RULES)
    told = sum(words(message.content) + 8 for message in prompt.messages)
    assert 750 < told <= 900
    assert fit_prompt(model, "", [Message("user", "How often?")], [], 100).messages == [Message("user", "How often?")]


@pytest.mark.parametrize("sources", [True, False])
def test_the_room_for_history_is_what_a_prompt_takes(sources):
    model = LanguageModel("p", "m", "d", None, 1_000, words)
    examples = turns("An example?", "Yes.")
    room = history_room(model, RULES, "How often?", 100, sources=sources, examples=examples)
    passages = SOURCES if sources else []
    for length, kept in ((room - 17, 2), (room - 16, 2), (room - 15, 0)):
        history = turns("oil " * 5, "oil " * (length - 5))
        prompt = fit_prompt(model, RULES, [*history, Message("user", "How often?")], passages, 100, examples)
        assert len(prompt.messages) == 4 + kept, length


def test_images_take_their_share_of_the_window():
    model = LanguageModel("openai", "m", "", llm=None, context_window=6_000, count_tokens=words)
    seen = [Message("user", "And this?", images=("data:a",) * 2), Message("assistant", "A pump.")]
    question = Message("user", "Which is older?", images=("data:b",))
    assert [m.images for m in fit_prompt(model, RULES, [*seen, question], [], 500).messages[1:]] == [
        seen[0].images,
        (),
        question.images,
    ]
    many = [Message("user", "And this?", images=("data:a",) * 5), Message("assistant", "A pump.")]
    assert fit_prompt(model, RULES, [*many, question], [], 500).messages[1:] == [question]
    with pytest.raises(InvalidRequest):
        fit_prompt(model, RULES, [Message("user", "Which?", images=("data:b",) * 6)], [], 500)
