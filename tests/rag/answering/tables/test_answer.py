"""Questions over tables as the chat gets them answered: computed, with the query and a footnote to each row."""

from __future__ import annotations

from contextlib import closing

import pytest

from rag.answering.engine import ChatEngine
from rag.answering.modes.documents import documents
from rag.answering.modes.request import Request
from rag.index.index import Index
from rag.retrieval.retriever import HybridRetriever
from rag.text.markers import cited_numbers
from rag.types.documents import ChunksRetrieved, Message, Scope, TextDelta
from rag.types.models import LanguageModel
from tests.rag.answering.modes.speaking import speaking
from tests.rag.answering.tables.sheets import ORDERS, STAFF, sheet_version
from tests.rag.versions import make_version

QUOTES = LanguageModel("quotes", "quotes", "")


@pytest.fixture
def index(tmp_path, bag_of_words):
    with closing(Index(tmp_path / "storage", bag_of_words)) as index:
        for document_id, name, text in [("doc_s", "staff.csv", STAFF), ("doc_o", "orders.csv", ORDERS)]:
            index.replace_documents([sheet_version(document_id, text, tmp_path, bag_of_words, name)])
        index.replace_documents([make_version("doc_p", ["The pump needs oil every 90 days."], bag_of_words)])
        yield index


@pytest.fixture
def answered(index, settings):
    async def answered(question, model=QUOTES, **scope):
        events = []
        everything = Scope(tuple(collection.id for collection in index.catalog.collections()), **scope)
        engine = ChatEngine(HybridRetriever(index, settings.retrieval), model, settings)
        answer = await documents(engine, Request([Message("user", question)], everything), events.append)
        return events, answer

    return answered


async def test_what_is_not_computed_is_told(answered):
    _, answer = await answered("How many Engineer staff are somehow from Lyon City?")
    assert (answer.found, answer.notices) == (True, ("not_computed",))
    assert answer.text.splitlines()[-1].startswith("This was not computed over the whole table")
    _, answer = await answered("How often does the pump need oil on average?")
    assert (answer.found, answer.notices) == (True, ())


async def test_an_answer_has_the_number_the_query_and_the_rows(index, answered):
    events, answer = await answered("How many employees work in Lyon?")
    assert answer.text.startswith(
        "**4**\n\nComputed from 4 of 10 rows of “staff.csv”: City = Lyon.\n\n"
        "```sql\nSELECT count(*) FROM records WHERE \"City\" = 'Lyon'\n```\n\n- Name: Ana Silva; City: Lyon; "
    )
    assert (answer.kind, answer.found, answer.usage.completion_tokens) == ("question", True, 0)
    page = index.catalog.page_text("doc_s", None)
    assert [page[c.start : c.end] for c in answer.citations] == [c.quote for c in answer.citations]
    assert [c.quote.split(";")[0] for c in answer.citations] == [
        "Name: Ana Silva",
        "Name: Ben Okafor",
        "Name: Farid Nasser",
        "Name: Hugo Petit",
    ]
    assert cited_numbers(answer.text) == [1, 2, 3, 4]
    shown = [event for event in events if isinstance(event, ChunksRetrieved)]
    assert shown[-1].passages == answer.passages
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == answer.text


async def test_it_is_in_the_language_of_the_question(answered):
    _, answer = await answered("Wie hoch ist die Summe der Beträge aller Bestellungen?")
    assert answer.text.startswith(
        "Summe von Betrag: **32.831,44 €**\n\nBerechnet aus 11 von 11 Zeilen von „orders.csv“."
    )
    _, answer = await answered("Liste alle Bestellungen über 1.000 €")
    assert answer.text.startswith("**6**")
    assert "Betrag > 1.000" in answer.text.replace("\\>", ">")


async def test_of_many_rows_twenty_are_shown(index, answered, tmp_path, bag_of_words):
    parts = "Part,Price\n" + "".join(f"P-{number},{number}\n" for number in range(1, 41))
    index.replace_documents([sheet_version("doc_m", parts, tmp_path, bag_of_words, "parts.csv")])
    _, answer = await answered("How many parts have a price over 3?", document_ids=frozenset({"doc_m"}))
    assert answer.text.startswith("**37**")
    assert "20 of 37 rows shown:" in answer.text
    assert len(answer.citations) == 20


async def test_cells_are_no_footnotes_and_no_markup(index, answered, tmp_path, bag_of_words):
    text = "Product,Price\nSaw [3] ``` <b>x</b> | y,5\nAxe,7\n"
    index.replace_documents([sheet_version("doc_x", text, tmp_path, bag_of_words, "products.csv")])
    _, answer = await answered("What is the cheapest product?", document_ids=frozenset({"doc_x"}))
    assert "- Product: Saw (3) \\`\\`\\` \\<b\\>x\\</b\\> \\| y; Price: 5 [1]" in answer.text
    assert cited_numbers(answer.text) == [1]


async def test_two_tables_that_fit_are_not_chosen_between(index, answered, tmp_path, bag_of_words):
    index.replace_documents([sheet_version("doc_t", STAFF, tmp_path, bag_of_words, "staff_2.csv")])
    _, answer = await answered("How many employees work in Lyon?")
    assert "```sql" not in answer.text
    _, answer = await answered("How many employees work in Lyon?", document_ids=frozenset({"doc_s"}))
    assert answer.text.startswith("**4**")


async def test_other_questions_are_answered_from_the_passages(answered):
    _, answer = await answered("How often does the pump need oil?")
    assert "every 90 days" in answer.text
    _, answer = await answered("How many days until the pump needs oil?")
    assert "```sql" not in answer.text


async def test_a_model_writes_the_query_of_a_harder_question(answered):
    sql = 'SELECT "City", avg("Salary") FROM records GROUP BY "City" ORDER BY 2 DESC LIMIT 1'
    model = speaking(lambda _: f"```sql\n{sql}\n```")
    _, answer = await answered("Which city has the highest average salary of employees in Name, Department?", model)
    assert answer.text.startswith("**Berlin · 65,500**\n\nComputed from 10 of 10 rows")
    assert sql in answer.text
    assert len(answer.citations) == 10
    assert '"Salary" (number): 52000.0' in model.llm.asked[0][0]


@pytest.mark.parametrize("statement", ["NONE", "DROP TABLE records", 'SELECT "Nothing" FROM records', "I do not know."])
async def test_where_the_model_writes_none_the_passages_answer(answered, statement):
    prompts = []

    def say(prompt):
        prompts.append(prompt)
        return statement if len(prompts) == 1 else "Ana Silva works in Lyon [1]."

    _, answer = await answered("Which city has the most employees by Name, City, Salary?", speaking(say))
    assert len(prompts) == 2
    assert "Ana Silva works in Lyon" in answer.text


async def test_a_query_that_leaves_a_number_of_the_question_out_is_not_run(answered):
    replies = iter(['SELECT count(*) FROM records WHERE "Salary" > 5', "Several [1]."])
    model = speaking(lambda _: next(replies))
    _, answer = await answered("How many Name with Salary, Age in City exceed roughly 50000?", model)
    assert answer.text.startswith("Several")
