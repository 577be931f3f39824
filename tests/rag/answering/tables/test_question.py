"""Questions that are computed give the right numbers and rows; all others are left alone."""

from __future__ import annotations

import pytest

from rag.answering.tables.query import run
from rag.answering.tables.question import Reader
from rag.answering.tables.words import words_of
from tests.rag.answering.tables.sheets import ORDERS, PRICES, STAFF, tables_in

SHEETS = {"staff": STAFF, "bestellungen": ORDERS, "price list": PRICES}
ALL = "all"

# sheet, decimal mark of the question's language, question, value (None: the rows are all there is to it), rows
COMPUTED = [
    ("staff", ".", "How many employees work in Lyon?", 4, [1, 2, 6, 8]),
    ("staff", ".", "How many employees are there?", 10, ALL),
    ("staff", ".", "What is the average salary?", 56350, ALL),
    ("staff", ".", "What is the average salary in Berlin?", 65500, [4, 5, 9]),
    ("staff", ".", "Who earns the most?", 72000, [4]),
    ("staff", ".", "Who earns the least?", 39000, [8]),
    ("staff", ".", "What is the total salary of the Sales department?", 207000, [1, 3, 8, 9]),
    ("staff", ".", "How many employees were hired in 2024?", 2, [7, 8]),
    ("staff", ".", "How many employees were hired since 2022?", 4, [5, 6, 7, 8]),
    ("staff", ".", "Which employees earn more than 60000?", None, [3, 4, 5, 10]),
    ("staff", ".", "List all employees of Sales in Lyon", None, [1, 8]),
    ("staff", ".", "How many cities are there?", 3, ALL),
    ("staff", ".", "How many employees earn between 50000 and 60000?", 3, [1, 6, 9]),
    ("staff", ".", "How many employees work in Lyon or Madrid?", 7, [1, 2, 3, 6, 7, 8, 10]),
    ("staff", ".", "What is the highest age?", 50, [3]),
    ("staff", ",", "Wie viele Mitarbeiter arbeiten in Berlin?", 3, [4, 5, 9]),
    ("staff", ",", "Wie hoch ist das durchschnittliche Gehalt in Madrid?", pytest.approx(170000 / 3), [3, 7, 10]),
    ("staff", ",", "Wer verdient am meisten?", 72000, [4]),
    ("staff", ",", "Welche Mitarbeiter verdienen mehr als 60.000 €?", None, [3, 4, 5, 10]),
    ("staff", ",", "Combien d’employés travaillent à Lyon ?", 4, [1, 2, 6, 8]),
    ("staff", ",", "Quel est le salaire moyen à Madrid ?", pytest.approx(170000 / 3), [3, 7, 10]),
    ("staff", ",", "Qui gagne le plus ?", 72000, [4]),
    ("staff", ",", "¿Cuántos empleados trabajan en Madrid?", 3, [3, 7, 10]),
    ("staff", ",", "¿Cuál es el salario medio en Berlin?", 65500, [4, 5, 9]),
    ("staff", ",", "¿Quién gana más?", 72000, [4]),
    ("bestellungen", ",", "Wie viele Bestellungen gibt es?", 11, ALL),
    ("bestellungen", ",", "Wie viele Bestellungen sind offen?", 4, [2, 5, 7, 10]),
    ("bestellungen", ",", "Wie hoch ist die Summe der Beträge?", pytest.approx(32831.44), ALL),
    ("bestellungen", ",", "Was ist die Summe der Beträge in 2024?", pytest.approx(14890.75), range(6, 12)),
    ("bestellungen", ",", "Welche Bestellungen sind über 1.000 €?", None, [1, 3, 5, 7, 9, 11]),
    ("bestellungen", ",", "Zeige alle Bestellungen über 5000 Euro", None, [3, 7]),
    ("bestellungen", ",", "Wie viele Bestellungen gab es im März 2024?", 2, [7, 8]),
    ("bestellungen", ",", "Wie viele Bestellungen hat Alpha GmbH?", 3, [1, 4, 8]),
    ("bestellungen", ",", "Wie viele Bestellungen gab es zwischen dem 01.03.2023 und dem 30.06.2023?", 3, [3, 4, 5]),
    ("bestellungen", ",", "Wie viele Bestellungen gab es vor dem 01.06.2023?", 4, [1, 2, 3, 4]),
    ("bestellungen", ",", "Wie viele verschiedene Kunden gibt es?", 5, ALL),
    ("bestellungen", ",", "Was ist die letzte Bestellung?", "2024-11-03", [11]),
    ("bestellungen", ".", "What is the total amount of the orders in 2023?", pytest.approx(17940.69), range(1, 6)),
    ("bestellungen", ".", "List all orders over 1,000 EUR", None, [1, 3, 5, 7, 9, 11]),
    ("bestellungen", ",", "Quelle est la somme des montants en 2024 ?", pytest.approx(14890.75), range(6, 12)),
    ("bestellungen", ",", "¿Cuántos pedidos hay?", 11, ALL),
    ("bestellungen", ",", "¿Cuál es la suma de los importes de Beta AG?", pytest.approx(3761.25), [2, 6, 11]),
    ("staff", ".", "Which employees have an age over 40 and a salary under 62000?", None, [1, 3]),
    ("staff", ".", "List the employees hired after 2022", None, [6, 7, 8]),
    ("staff", ",", "Quels employés ont été embauchés en 2024 ?", None, [7, 8]),
    ("bestellungen", ",", "Wie viele offene Bestellungen über 900 € gibt es?", 3, [2, 5, 7]),
    ("price list", ".", "What is the cheapest product?", 3.2, [5]),
    ("price list", ".", "What is the most expensive product?", 110, [7]),
    ("price list", ".", "Which products cost less than 10 dollars?", None, [5, 6, 8]),
    ("price list", ".", "How many products are in the category Tools?", 2, [1, 2]),
    ("price list", ".", "How many products cost over $50?", 3, [3, 4, 7]),
    ("price list", ".", "What is the average price of Machines?", 76.5, [3, 4]),
    ("price list", ".", "What is the total stock?", 1565, ALL),
    ("price list", ".", "Which products have a stock of at least 150?", None, [5, 6, 8]),
    ("price list", ",", "Welches ist das billigste Produkt?", 3.2, [5]),
    ("price list", ",", "Quel est le produit le plus cher ?", 110, [7]),
    ("price list", ",", "¿Cuál es el producto más barato?", 3.2, [5]),
    ("price list", ",", "¿Qué productos cuestan menos de 10 dólares?", None, [5, 6, 8]),
]

LEFT_ALONE = {
    "staff": """How many employees are in Sales and how many in Marketing?
What is the average salary in Lyon and Madrid?
Who earns more than Ana Silva?
How much does Ana Silva earn?
How many employees does Ben Okafor have?
Who is the oldest employee?
Wer ist der älteste Mitarbeiter?
Wer ist der jüngste Mitarbeiter?
How many employees left in 2024?
How many employees did we have in 2024?
How many employees do not work in Lyon?
Wie viele Mitarbeiter arbeiten nicht in Lyon?
Combien d'employés ne travaillent pas à Lyon ?
¿Cuántos empleados no trabajan en Lyon?
What is the average salary per department?
Which department has the highest salary?
What is the median salary?
Which employees are older than 40?
List employees over 40 with salary 50000
List employees over 40
How many vacation days do employees have?
Wie viele Urlaubstage haben Mitarbeiter?
Who is the manager of the Sales department?
What is the notice period for employees?
Combien de jours de congé ont les employés ?
Quel est le salaire de Ana Silva ?
¿Cuántos días de vacaciones tienen los empleados?
¿Quién es el jefe de Madrid?
What percentage of employees work in Lyon?
How many employees work in Paris?
How many offices are in Lyon?
Which city has the most employees?
What is the highest mountain in Spain?
List the steps to hire employees
Which employees work in Lyon and earn more than the average?
List all employees
Is the highest salary over 70000?
How many employees work in Lyon or earn more than 60000?
How many employees are younger than the average age?
What was the average salary in 2023?
How many employees have worked since 2020?
Which employees in Madrid earn over 50k?
How many employees earn over 50 thousand?
What is the difference between the highest and the lowest salary?
Wie viele Mitarbeiter gab es 2022?
How many teams are in Lyon?""",
    "bestellungen": """Which customer has the highest amount?
Welcher Kunde hat am meisten bestellt?
How many orders over 1000 USD?
Wie viele Bestellungen wurden nicht bezahlt?
Wie hoch ist der Umsatz von Zeta AG?
Wie viele Bestellungen gab es pro Monat?
How many orders in 2023 and 2024?
What is the delivery time of orders?
Wie storniere ich Bestellungen?
Wie lange dauert eine Bestellung?
Wie hoch war der Umsatz in 2023 und 2024?
Wie hoch ist der Umsatz im Mai?
How many customers have open orders?
How many orders were there until 2023?
Since when do we have orders?""",
    "price list": """What is the price of the Hammer?
How many products do we have in stock?
How many hammers are in stock?
Which products are not in stock?
How many products cost less than 10 euros?
What is the latest price?
What does the most expensive drill cost?
What is the total value of the stock?
Which category is the cheapest?""",
}


@pytest.fixture(scope="module")
def readers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sheets")
    return {title: Reader(tables_in(text, folder)[0], words_of(title)) for title, text in SHEETS.items()}


@pytest.mark.parametrize(("sheet", "mark", "question", "value", "rows"), COMPUTED, ids=lambda value: str(value)[:60])
def test_simple_questions_are_computed(readers, sheet, mark, question, value, rows):
    reader = readers[sheet]
    query = reader.read(question, mark)
    assert query is not None
    result = run(reader.table, query)
    assert list(result.records) == (list(range(1, len(reader.table.starts) + 1)) if rows == ALL else list(rows))
    assert value is None or result.rows[0][0] == value


@pytest.mark.parametrize(
    ("sheet", "question"), [(sheet, text) for sheet, texts in LEFT_ALONE.items() for text in texts.splitlines()]
)
def test_what_is_not_certain_is_left_alone(readers, sheet, question):
    assert [readers[sheet].read(question, mark) for mark in ".,"] == [None, None]


def test_a_figure_that_may_be_two_numbers_is_not_compared(readers):
    assert readers["bestellungen"].read("List all orders over 1.000 EUR", ".") is None  # 1000 or 1?


def test_several_rows_for_one_thing_are_not_counted_as_things(tmp_path):
    payroll = "Name,Month,Salary\nAna,2024-01-01,3000\nBen,2024-01-01,2500\nAna,2024-02-01,3100\nBen,2024-02-01,2500\n"
    reader = Reader(tables_in(payroll, tmp_path)[0], words_of("payroll"))
    assert reader.read("How many employees are there?", ".") is None
    assert reader.read("Who earns the most?", ".") is None
    assert reader.read("What is the total salary?", ".") is not None


def test_amounts_in_several_currencies_are_not_summed(tmp_path):
    invoices = "Invoice,Amount,Currency\nI-1,100,EUR\nI-2,200,USD\nI-3,50,EUR\n"
    reader = Reader(tables_in(invoices, tmp_path)[0], words_of("invoices"))
    assert reader.read("What is the total amount?", ".") is None
    assert reader.read("Which invoices are over 90 EUR?", ".") is None
    query = reader.read("What is the total amount of the EUR invoices?", ".")
    assert query is None or run(reader.table, query).rows == ((150.0,),)


def test_a_column_that_is_only_a_part_of_what_is_asked_is_not_computed(tmp_path):
    orders = "Order,Discount amount,Minimum price,Delivery date\nO-1,5,1,2024-01-01\nO-2,7,2,2024-01-02\n"
    reader = Reader(tables_in(orders, tmp_path)[0], words_of("orders"))
    for question in ("What is the total amount?", "What is the average price?", "What is the latest order?"):
        assert reader.read(question, ".") is None
    query = reader.read("What is the total discount amount?", ".")
    assert run(reader.table, query).rows == ((12.0,),)
    prices = "Artikel;Einzelpreis (EUR)\nA-1;2,50\nA-2;3,50\n"
    reader = Reader(tables_in(prices, tmp_path)[0], words_of("preise"))
    assert run(reader.table, reader.read("Wie hoch ist der durchschnittliche Preis?", ",")).rows == ((3.0,),)


def test_a_value_in_two_columns_means_neither(tmp_path):
    people = "Name,City,Birthplace,Salary\nAna,Lyon,Madrid,1000\nBen,Berlin,Lyon,2000\nCai,Lyon,Lyon,3000\n"
    reader = Reader(tables_in(people, tmp_path)[0], words_of("staff"))
    assert reader.read("How many employees are in Lyon?", ".") is None
    assert reader.read("How many employees are in Berlin?", ".") is not None


@pytest.mark.parametrize(
    "question",
    [
        "What is the salary of Max?",  # a name, and the highest
        "Wie hoch ist das Gehalt von Max?",
        "What is the salary in Media?",  # a department, and the Spanish average
        "What do most employees earn?",
        "How many employees were hired up to 2022?",
        "How many employees were hired from 2021 on?",
        "How many employees were hired after 9999-12-31?",
    ],
)
def test_what_could_be_read_in_two_ways_is_not_computed(tmp_path, question):
    sheet = (
        "First name;Department;Salary;Hire date\nMax;Sales;60000;2020-01-05\nEva;Media;80000;2021-03-01\n"
        "Tom;Sales;70000;2022-05-05\nZoe;Sales;50000;2023-01-01\n"
    )
    reader = Reader(tables_in(sheet, tmp_path)[0], words_of("employees"))
    assert reader.read(question, ".") is None


def test_a_last_row_that_may_be_a_sum_makes_no_table(tmp_path):
    sheet = "First name;Department;Salary\nMax;Sales;60000\nEva;Sales;70000\nZoe;Media;80000\n"
    assert not tables_in(sheet, tmp_path)
