"""A summary reads every page once, in as few calls as the window allows, and cites the pages."""

from __future__ import annotations

import re
from dataclasses import replace
from math import ceil

import pytest

from rag.answering.replies import reply_to
from rag.errors import BackendRejected, BackendUnavailable, InvalidRequest, PromptTooLong
from rag.types.chat import Sampling
from rag.types.documents import AnswerCompleted, ChunksRetrieved, Message, Progress, Scope, Section, TextDelta
from rag.types.models import LanguageModel
from tests.rag.answering.modes.speaking import assert_within_window, speaking
from tests.rag.versions import make_version

NOT_FOUND = reply_to("In English", "not_found")

SOURCE = re.compile(r'<source (\d+) \w+: "([^"]*)">\n(.*?)\n</source', re.DOTALL)
NOTED = re.compile(r"Fact (\d+) is stated")
WORDS = 400  # of a page


def paper(pages: int, words: int = WORDS) -> list[str]:
    return [
        f"Fact {page} is stated here. " + " ".join(f"W{page}x{n}" for n in range(words - 5))
        for page in range(1, pages + 1)
    ]


def reader(**more) -> LanguageModel:
    """Notes one sentence of each source, and keeps the sentences of notes; fills what it may write."""

    def say(prompt: str) -> str:
        if "take notes" in prompt or "<source" in prompt:
            return " ".join(f"{text.partition('.')[0]} [{number}]." for number, _, text in SOURCE.findall(prompt))
        return " ".join(re.findall(r"Fact \d+ is stated here \[\d+\]\.", prompt))

    return speaking(say, **more)


def kinds_of_call(model: LanguageModel) -> dict[str, int]:
    prompts = [prompt for prompt, _ in model.llm.asked]
    return {
        "map": sum("take notes" in prompt for prompt in prompts),
        "shorten": sum("Make one text of them" in prompt for prompt in prompts),
        "last": sum("You write for the user" in prompt for prompt in prompts),
    }


async def test_a_long_paper_costs_one_pass_over_its_tokens_and_one_reduce_call(index, bag_of_words, events_of):
    index.replace_documents([make_version("doc_a", paper(30), bag_of_words)])
    model = reader(window=4096)
    *events, completed = await events_of("What are the facts?", model, mode="summarize")
    calls = kinds_of_call(model)
    assert (calls["shorten"], calls["last"]) == (0, 1)
    assert calls["map"] == ceil(30 / 8), "eight pages of 400 tokens go into a window of 4096"
    read = [page for prompt, _ in model.llm.asked if "take notes" in prompt for page in NOTED.findall(prompt)]
    assert read == [str(page) for page in range(1, 31)], "each page once, in their order"
    assert_within_window(model)
    assert completed.answer.usage.prompt_tokens < 30 * WORDS * 1.25
    assert completed.answer.usage.prompt_tokens == sum(len(prompt.split()) for prompt, _ in model.llm.asked)
    progress = [event for event in events if isinstance(event, Progress)]
    assert progress[0].done == 0
    assert progress[-1] == Progress("Reading 30 pages in 1 document", 30, 30)
    assert [event.done for event in progress] == sorted({event.done for event in progress})


async def test_the_answer_cites_the_pages_and_says_how_much_was_read(index, bag_of_words, events_of):
    index.replace_documents(
        [make_version("doc_a", paper(20), bag_of_words), make_version("doc_b", paper(3), bag_of_words)]
    )
    *events, completed = await events_of("What are the facts?", reader(window=4096), mode="summarize")
    answer = completed.answer
    assert answer.text == "".join(event.text for event in events if isinstance(event, TextDelta))
    assert answer.text.endswith("\n\nRead 23 pages of 23 in 2 documents.")
    assert len(answer.citations) == 23
    for number, citation in enumerate(answer.citations, start=1):
        place = (citation.document_id, citation.page_index)
        assert place == (("doc_a", number - 1) if number <= 20 else ("doc_b", number - 21))
        assert citation.quote == f"Fact {citation.page_index + 1} is stated here."
        page = index.catalog.page_text(*place)
        assert page[citation.start : citation.end] == citation.quote
        assert f"[{citation.number}]" in answer.text
    assert {claim.verdict for claim in answer.claims} == {"supported"}
    assert answer.passages == next(event.passages for event in events if isinstance(event, ChunksRetrieved))
    assert answer.found


async def test_what_fits_is_read_and_written_in_one_call(filled, events_of):
    model = reader()
    *_, completed = await events_of("What is said?", model, mode="summarize")
    ((prompt, _),) = model.llm.asked
    assert kinds_of_call(model) == {"map": 0, "shorten": 0, "last": 1}
    assert prompt.endswith("user: What is said?")
    assert [page for _, page, _ in SOURCE.findall(prompt)] == [
        "Title doc_a, page 1, Care",
        "Title doc_a, page 2, Care",
        "Title doc_b, page 1",
    ]
    assert completed.answer.text.endswith("Read 3 pages of 3 in 2 documents.")


@pytest.mark.parametrize("window", [700, 1000, 2000])
async def test_notes_that_do_not_fit_are_made_shorter_first(index, bag_of_words, events_of, window):
    index.replace_documents([make_version("doc_a", paper(60), bag_of_words)])

    def say(prompt: str) -> str:
        last = "You write for the user" in prompt
        return "The end [1]." if last else "A long note that fills all it may [1]. " * 60

    model = speaking(say, window=window, max_tokens=200)
    *_, completed = await events_of("What are the facts?", model, mode="summarize")
    calls = kinds_of_call(model)
    assert calls["last"] == 1
    assert 0 < calls["shorten"] < calls["map"]
    assert_within_window(model)
    assert completed.answer.citations
    read = [page for prompt, _ in model.llm.asked if "take notes" in prompt for page in NOTED.findall(prompt)]
    assert read == [str(page) for page in range(1, 61)]


async def test_pages_larger_than_the_window_are_read_in_pieces(index, bag_of_words, events_of):
    lines = [f"Fact {number} is stated here." for number in range(600)]
    page = "\n".join(lines) + "\nonelongline" + " word" * 900
    index.replace_documents([make_version("doc_a", [page], bag_of_words)])
    model = reader(window=600)
    *events, completed = await events_of("What are the facts?", model, mode="summarize")
    told = "\n".join(text for prompt, _ in model.llm.asked for _, _, text in SOURCE.findall(prompt))
    assert NOTED.findall(told) == [str(number) for number in range(600)]
    assert told.split().count("word") == 900
    assert_within_window(model)
    for citation in completed.answer.citations:
        assert page[citation.start : citation.end] == citation.quote
    done = [event.done for event in events if isinstance(event, Progress) and event.total]
    assert done[-1] == 1, "a page is read when its last piece is"
    assert done[-2] == 0


async def test_a_file_without_pages_is_read_in_pieces_under_its_headings(index, bag_of_words, events_of):
    version = make_version("doc_a", [""], bag_of_words)
    sections = [Section(f"Fact {n} is stated here. " + "word " * 300 + "\n", heading=f"Chapter {n}") for n in range(9)]
    index.replace_documents([replace(version, sections=sections)])
    model = reader()
    *_, completed = await events_of("What are the facts?", model, mode="summarize")
    told = SOURCE.findall(model.llm.asked[0][0])
    assert "".join(f"{text}\n" for _, _, text in told).split() == "".join(s.text for s in sections).split()
    assert len(told) > 3
    assert told[1][1] == "Title doc_a, Chapter 2"
    assert completed.answer.text.endswith("Read 1 page of 1 in 1 document.")


async def test_only_so_many_calls_run_at_once(index, bag_of_words, events_of):
    index.replace_documents([make_version("doc_a", paper(30), bag_of_words)])
    for parallel, expected in ((3, 3), (1, 1), (100, 15)):
        model = reader(window=1500)
        await events_of("Facts?", model, mode="summarize", settings={"modes": {"max_concurrent_requests": parallel}})
        assert model.llm.most_at_once == expected
    model = replace(reader(window=1500), provider="llama_cpp")
    await events_of("Facts?", model, mode="summarize")
    assert model.llm.most_at_once == 1, "one process writes one reply after the other"


async def test_the_scope_is_read_and_nothing_else(index, bag_of_words, events_of, everything):
    versions = [make_version(name, paper(5), bag_of_words) for name in ("doc_a", "doc_b")]
    empty = make_version("doc_c", ["Text."], bag_of_words)
    index.replace_documents([*versions, replace(empty, sections=[], document=replace(empty.document, pages=4))])
    scope = replace(everything, document_ids=frozenset(["doc_b"]), pages=(2, 3))
    model = reader()
    *_, completed = await events_of("Facts?", model, mode="summarize", scope=scope)
    assert NOTED.findall(model.llm.asked[0][0]) == ["2", "3"]
    assert completed.answer.text.endswith("Read 2 pages of 2 in 1 document.")
    *_, completed = await events_of("Facts?", reader(), mode="summarize")
    assert completed.answer.text.endswith("Read 10 pages of 14 in 3 documents. The others hold no text.")
    for nothing in (replace(everything, document_ids=frozenset(["doc_c"])), Scope(()), replace(scope, pages=(9, 9))):
        with pytest.raises(InvalidRequest, match="nothing to summarise"):
            await events_of("Facts?", reader(), mode="summarize", scope=nothing)


async def test_parts_without_anything_of_interest_cost_no_room_later(index, bag_of_words, events_of):
    index.replace_documents([make_version("doc_a", paper(30), bag_of_words)])

    def say(prompt: str) -> str:
        if "take notes" in prompt:
            return "Fact 7 is stated here [7]." if "Fact 7 " in prompt else "NOTHING."
        return "Fact 7 is stated here [1]."

    model = speaking(say, window=4096)
    *_, completed = await events_of("What of fact 7?", model, mode="summarize")
    assert "NOTHING" not in model.llm.asked[-1][0]
    (citation,) = completed.answer.citations
    assert citation.page_index == 6
    model = speaking(lambda _: "NOTHING", window=4096)
    *events, completed = await events_of("What of fact 99?", model, mode="summarize")
    assert not kinds_of_call(model)["last"]
    assert completed.answer.text == f"{NOT_FOUND}\n\nRead 30 pages of 30 in 1 document."
    assert completed.answer.text == "".join(event.text for event in events if isinstance(event, TextDelta))
    assert not completed.answer.found


async def test_notes_of_a_model_that_forgets_to_cite_are_cited_for_it(index, bag_of_words, events_of):
    index.replace_documents([make_version("doc_a", paper(20), bag_of_words)])
    inner = reader()

    def say(prompt: str) -> str:
        if "take notes" in prompt:
            return re.sub(r" \[\d+\]", "", inner.llm._say(prompt)) + " All is quiet."
        return " ".join(re.findall(r"Fact \d+ is stated here\. \[\d+\]", prompt))

    model = speaking(say, window=4096)
    *_, completed = await events_of("What are the facts?", model, mode="summarize")
    assert [citation.page_index for citation in completed.answer.citations] == list(range(20))
    assert "All is quiet.\n" in model.llm.asked[-1][0], "nothing is cited for what no page says"


async def test_a_follow_up_is_understood_and_instructions_are_followed(filled, events_of):
    def say(prompt: str) -> str:
        return "What do the documents say of hotels?" if "Rewritten question" in prompt else "Hotels cost 185 EUR [3]."

    model = speaking(say)
    messages = [
        Message("system", "Speak like a pirate."),
        Message("user", "What of hotels?"),
        Message("assistant", "Dear."),
        Message("user", "And all of it?"),
    ]
    *_, completed = await events_of(messages, model, mode="summarize")
    last = model.llm.asked[-1][0]
    assert last.startswith("system: Speak like a pirate.")
    assert last.endswith("user: What do the documents say of hotels?")
    assert completed.answer.citations[0].document_id == "doc_b"


@pytest.mark.parametrize(("most", "words"), [(1800, 400), (900, 1500)])
async def test_a_server_that_counts_more_tokens_is_sent_less(index, bag_of_words, events_of, most, words):
    index.replace_documents([make_version("doc_a", paper(20, words), bag_of_words)])
    inner, read = reader(window=4096), []

    def say(prompt: str) -> str:
        if len(prompt.split()) > most:
            raise PromptTooLong("The prompt is too long.")
        read.extend(text for _, _, text in SOURCE.findall(prompt))
        return inner.llm._say(prompt)

    model = speaking(say, window=4096)
    *_, completed = await events_of("Facts?", model, mode="summarize")
    assert isinstance(completed, AnswerCompleted)
    assert {citation.page_index for citation in completed.answer.citations} >= set(range(20))
    assert len(" ".join(dict.fromkeys(read)).split()) == pytest.approx(20 * words, abs=60), (
        "pieces of a page are all of it"
    )


@pytest.mark.parametrize("error", [BackendUnavailable("Gone."), BackendRejected("No."), PromptTooLong("Too long.")])
async def test_a_model_that_fails_ends_it(index, bag_of_words, events_of, error):
    index.replace_documents([make_version("doc_a", paper(30), bag_of_words)])

    def say(_):
        raise error

    with pytest.raises(type(error)):
        await events_of("Facts?", speaking(say, window=4096), mode="summarize")


async def test_it_needs_a_model(filled, events_of):
    with pytest.raises(InvalidRequest, match="needs a language model"):
        await events_of("Facts?", LanguageModel("quotes", "quotes", "no model"), mode="summarize")


async def test_a_summary_may_be_longer_than_other_answers(index, bag_of_words, events_of):
    index.replace_documents([make_version("doc_a", paper(3), bag_of_words)])
    for request, longest in (({}, 500), ({"sampling": Sampling(max_tokens=60)}, 60)):
        model = reader(window=8192, max_tokens=100)
        modes = {"modes": {"summary_max_tokens": 500}}
        await events_of("What are the facts?", model, mode="summarize", settings=modes, **request)
        assert model.llm.asked[-1][1] == longest
