"""Claims: what a passage bears out passes, what it does not is flagged with the word or number that is missing."""

from __future__ import annotations

import pytest

from rag.answering.verification.claims import better_source, check_claims, cited_sentences, sources_by_number
from rag.types.documents import Passage

PUMP = """The pump needs oil every 90 days. It weighs 1,200 kg and was built by Karl Meyer in Dresden.
Anna Schmidt sold the first one to Siemens on 3 June 2021. The valve must not be opened under pressure.
Sales rose by 12.5% in 2020, to $5.8 billion. Both filters are cleaned before the winter."""
TABLE = """Consolidated balance sheet (in millions)
Cash and cash equivalents | $5,794 | $4,225
Long-term debt, net | 2,675 | 2,671
Accumulated other comprehensive loss | (619) | (601)"""
HOTEL = "Guests pay for breakfast in the hotel's dining room. Dogs are welcome in all rooms but the suites."
GERMAN = "Die Pumpe braucht alle 90 Tage Öl. Das Ventil darf unter Druck nicht geöffnet werden. Sie wiegt 1.200 kg."


def passage(number: int, text: str, title: str = "Manual") -> Passage:
    return Passage(number, "doc", title, "manual.pdf", 0, "1", "", 0, len(text), text, 1.0)


SOURCES = [passage(1, PUMP), passage(2, TABLE, "Annual report 2019"), passage(3, HOTEL), passage(4, GERMAN)]


def verdicts(answer: str) -> list[str]:
    return [claim.verdict for claim in check_claims(answer, SOURCES)]


@pytest.mark.parametrize(
    "sentence",
    [
        "The pump needs oil every 90 days [1].",
        "You should oil the pump every ninety days [1].",
        "It weighs 1200 kg [1].",
        "Sales rose by 12.5 per cent in 2020 [1].",
        "Sales rose by about 13 percent in 2020 [1].",
        "Anna Schmidt sold it to Siemens on June 3, 2021 [1].",
        "The two filters are cleaned before winter [1].",
        "Never open the valve under pressure: it must not be opened [1].",
        "Cash and cash equivalents were $5.8 billion in 2019 [2].",
        "Cash was $5,794 million [2].",
        "Net long-term debt was 2,675 million dollars [2].",
        "The comprehensive loss accumulated to -619 million [2].",
        "Dogs are welcome in every room except the suites [3].",
        "Alle 90 Tage braucht die Pumpe Öl [4].",
        "Sie wiegt 1200 kg [4].",
        "**The pump** needs oil every `90` days [1].",
        "The pump needs oil every 90 days, and guests pay for breakfast [1][3].",
    ],
)
def test_what_the_page_says_is_supported(sentence):
    (claim,) = check_claims(sentence, SOURCES)
    assert (claim.verdict, claim.reason) == ("supported", "")


@pytest.mark.parametrize(
    ("sentence", "verdict", "named"),
    [
        ("The pump needs oil every 80 days [1].", "unsupported", "“80”"),
        ("The pump needs oil every eighty days [1].", "unsupported", "“eighty”"),
        ("Cash was $6.8 billion [2].", "unsupported", "“6.8 billion”"),
        ("Cash was $5.7 billion [2].", "unsupported", "“5.7 billion”"),
        ("Sales rose by 90% to $5.8 billion in 2020 [1].", "partly", "“12.5%”"),
        ("It weighs 2021 kg and was built by Karl Meyer [1].", "partly", "“1,200”"),
        ("It was built by Karl Huber in Dresden [1].", "partly", "“Karl Huber”"),
        ("The pump was built by Karl Meyer in Munich [1].", "partly", "“Munich”"),
        (
            "It weighs 1,200 kg and was built by Anna Schmidt in Dresden [1].",
            "partly",
            "“Karl Meyer” there, not “Anna Schmidt”",
        ),
        ("On 3 June 2021, Karl Meyer sold the first one to Siemens [1].", "partly", "“Anna Schmidt” there, not “Karl"),
        ("The setting is called MAX_PRESSURE, says the pump's oil page [1].", "partly", "“MAX_PRESSURE”"),
        ("The pump does not need oil every 90 days [1].", "unsupported", "“not”"),
        ("The pump doesn't need oil every 90 days [1].", "unsupported", "“doesn't”"),
        ("The valve must be opened under pressure [1].", "unsupported", "“not”"),
        ("Sales fell by 12.5% in 2020 [1].", "partly", "“rose”"),
        ("The filters are cleaned after the winter [1].", "partly", "“before”"),
        ("Das Ventil darf unter Druck geöffnet werden [4].", "unsupported", "“nicht”"),
        ("The pump needs oil every 90 days [3].", "unsupported", "“90”"),
        ("The valve is opened under pressure by an engineer [3].", "unsupported", "little"),
    ],
)
def test_what_the_page_does_not_say_is_flagged_with_a_reason(sentence, verdict, named):
    (claim,) = check_claims(sentence, SOURCES)
    assert claim.verdict == verdict
    assert named in claim.reason


@pytest.mark.parametrize(
    "sentence",
    [
        "",
        "I found the following:",
        "# The pump",
        "**Oil and weight**",
        "Which pump do you mean?",
        "The documents do not say how loud the pump is.",
        "The sources provide no information about prices [1].",
        "I could not find an answer to this in your documents.",
        "Let me know if you need more.",
        "Sure! I can help with that.",
        "Based on the documents, I found two things.",
        "I'm sorry, but I don't know the price.",
        "Unfortunately, the documents do not mention a price [1].",
        "The price is not mentioned in the provided sources [1].",
        "I could not find the price of the pump [1].",
        "1.",
        "| --- | --- |",
        "```\npump.oil(80)\n```",
    ],
)
def test_what_claims_nothing_gets_no_verdict(sentence):
    assert check_claims(sentence, SOURCES) == ()


def test_a_bold_line_above_a_cited_one_is_a_heading():
    assert verdicts("**Colour and price**\nThe pump needs oil every 90 days [1].") == ["supported"]


def test_claims_point_at_their_sentences():
    answer = "Here is what I found:\n\n- The pump needs oil every 90 days [1].\n- Dogs pay 20 euros. [3]\n"
    one, two = check_claims(answer, SOURCES)
    assert answer[one.start : one.end] == "- The pump needs oil every 90 days [1]."
    assert answer[two.start : two.end] == "- Dogs pay 20 euros. [3]"
    assert (one.numbers, two.numbers) == ((1,), (3,))
    assert [one.verdict, two.verdict] == ["supported", "unsupported"]


@pytest.mark.parametrize(
    ("answer", "numbers"),
    [
        ("One thing [1]. Another thing [2][3].", [(1,), (2, 3)]),
        ("One thing.[1] Another thing.[2]", [(1,), (2,)]),
        ("One thing. [1] Another thing. [2]", [(1,), (2,)]),
        ("One thing. Another thing [2].", [(2,), (2,)]),
        ("One thing [1]. Another thing.", [(1,), ()]),
        ("One thing.\n\nAnother thing [2].", [(), (2,)]),
        ("One thing.\n[1]\n\nAnother thing.\n[2]", [(1,), (2,)]),
        ("One thing.\n[2] says another thing.", [(2,), (2,)]),
        ("- One thing [1]\n- Another thing [2]", [(1,), (2,)]),
    ],
)
def test_which_sources_a_sentence_cites(answer, numbers):
    assert [cited for _, _, cited in cited_sentences(answer)] == numbers


def test_a_sentence_without_a_source_is_unsupported_even_where_it_is_true():
    answer = "The pump needs oil every 90 days [1]. It weighs 1,200 kg."
    assert verdicts(answer) == ["supported", "unsupported"]
    assert check_claims(answer, SOURCES)[1].reason == "no source is named"


def test_a_number_of_another_source_is_flagged():
    assert verdicts("The debt is 2,675 million [2]. The pump weighs 2,675 kg [1].") == ["supported", "unsupported"]


def test_what_stands_in_the_title_counts():
    assert verdicts("The annual report of 2019 shows cash of $5,794 million [2].") == ["supported"]


@pytest.mark.parametrize(
    ("sentence", "source", "verdict"),
    [
        (
            "Personal information is not given to third parties for advertising [1].",
            "Personal information is given to third parties for advertising.",
            "unsupported",
        ),
        ("We do not provide refunds within 30 days [1].", "We provide refunds within 30 days.", "unsupported"),
        ("**The fee is 900 euros a year.** [1]", "The fee is 500 euros a year.", "unsupported"),
        ("**The fee is 900 euros a year** [1]", "The fee is 500 euros a year.", "unsupported"),
        ("**The fee is 500 euros a year.** [1]", "The fee is 500 euros a year.", "supported"),
        ("Invoice No. 77 totals 500 euros [1].", "Invoice number 77 totals 500 euros.", "supported"),
        ("Invoice number 77 totals 500 euros [1].", "Invoice No. 77 totals 500 euros.", "supported"),
        (
            "A fábrica brasileira produz 900 carros em Minas [1].",
            "Em Minas, no Brasil, a fábrica produz 900 carros.",
            "",
        ),
        ("A fábrica no Brasil foi vendida em 2020 [1].", "A fábrica do Brasil foi vendida em 2020.", "supported"),
        ("There were no losses in São Paulo [1].", "There were losses in São Paulo.", "unsupported"),
        ("La fábrica no fue vendida en 2020 [1].", "La fábrica fue vendida en 2020.", "unsupported"),
        (
            "The plant did not produce 900 cars in 2020 [1].",
            "The plant in Missouri produced 900 cars in 2020.",
            "unsupported",
        ),
        ("The plant did not produce cars in Denmark [1].", "The plant produced cars in Denmark.", "unsupported"),
        ("The plant did not produce 900 cars [1].", "In Little Rock the plant produced 900 cars.", "unsupported"),
        ("The plant did not produce 900 cars [1].", "The plant failed to produce 900 cars.", "supported"),
        ("It opened in Sept 2020 [1].", "It opened in September 2020.", "supported"),
        ("It was built for Louis the 17th [1].", "It was built for Louis XVII.", "supported"),
    ],
)
def test_a_claim_against_its_own_source(sentence, source, verdict):
    (claim,) = check_claims(sentence, [passage(1, source)])
    assert (claim.verdict if verdict else claim.verdict != "unsupported") == (verdict or True), claim.reason


@pytest.mark.parametrize(
    "sentence",
    [
        "We have 12 offices in Berlin.",
        "We found 12 faults in the pump.",
        "Unfortunately, the pump weighs 900 kg.",
        "Based on the documents, the pump weighs 900 kg.",
        "**The pump weighs 900 kg.**",
    ],
)
def test_a_statement_without_a_source_is_a_claim(sentence):
    assert verdicts(sentence) == ["unsupported"]


def test_the_source_to_cite_instead_of_those_cited():
    sources = sources_by_number(
        [
            passage(1, "Hotels cost 185 EUR. Salaries are paid on the 25th."),
            passage(2, "Salaries and wages are paid on the 25th of each month."),
        ]
    )
    assert better_source("Salaries and wages are paid on the 25th.", (), sources) == 2
    assert better_source("Hotels cost 185 EUR.", (2,), sources) == 1
    assert better_source("Salaries are paid on the 25th.", (1,), sources) is None, "the cited one is right"
    assert better_source("Salaries are paid on the 15th.", (1,), sources) is None, "no source bears it out"
    assert better_source("When are salaries paid?", (), sources) is None


def test_each_part_of_a_sentence_rests_on_its_own_marker():
    old = passage(1, "Employees may work from home two days a week.")
    new = passage(2, "Employees may work from home three days a week. The allowance is 650 EUR.")
    (wrong,) = check_claims("They may work from home three days a week [1]; the allowance is 650 EUR [2].", [old, new])
    assert (wrong.verdict, wrong.numbers) == ("unsupported", (1, 2))
    (right,) = check_claims("They may work from home two days a week [1]; the allowance is 650 EUR [2].", [old, new])
    assert right.verdict == "supported"


@pytest.mark.parametrize(
    ("answer", "verdicts"),
    [
        ("The fees are these [1]:\n\n- Adults pay 5 EUR\n- Children pay 3 EUR\n- Dogs pay 9 EUR", "++-"),
        ("According to the list [1], the fees are:\n1. Adults: 5 EUR\n2. Children: 3 EUR", "++"),
        ("The fees [1]:\n\n| who | fee |\n|---|---|\n| adults | 5 EUR |\n| dogs | 9 EUR |", "+-"),
        ("The fees [1]:\n- Adults pay 5 EUR\n- Salaries are paid on the 25th [2]", "++"),
        ("The fees [1].\n- Adults pay 5 EUR", "?"),
        ("The fees [1]:\n- Adults pay 5 EUR\n\nDogs pay 9 EUR.", "+?"),
    ],
)
def test_items_and_rows_rest_on_the_line_that_leads_to_them(answer, verdicts):
    fees = passage(1, "Admission: adults pay 5 EUR, children pay 3 EUR. Groups of ten get 20 % off.")
    claims = check_claims(answer, [fees, passage(2, "Salaries are paid on the 25th of each month.")])
    assert "".join("?" if not c.numbers else "+" if c.verdict == "supported" else "-" for c in claims) == verdicts
