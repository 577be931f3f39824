"""Tables for tests, as the loader of CSV files reads them."""

from __future__ import annotations

from dataclasses import replace

from ingest.loaders.base import Limits
from ingest.loaders.csv import load_csv
from rag.answering.tables.table import read_tables
from tests.rag.versions import make_version

STAFF = """Name,City,Department,Salary,Age,Hired
Ana Silva,Lyon,Sales,52000,41,2021-03-01
Ben Okafor,Lyon,Marketing,48000,35,2019-07-15
Carla Ruiz,Madrid,Sales,61000,50,2015-01-10
Dieter Hahn,Berlin,Engineering,72000,44,2018-11-05
Elif Kaya,Berlin,Engineering,69500,31,2022-02-01
Farid Nasser,Lyon,Engineering,58000,29,2023-09-01
Greta Lund,Madrid,Marketing,45000,27,2024-05-20
Hugo Petit,Lyon,Sales,39000,24,2024-06-01
Ines Costa,Berlin,Sales,55000,38,2020-04-01
Jan Novak,Madrid,Engineering,64000,47,2016-08-22
"""
ORDERS = """Bestellnummer;Kunde;Bestelldatum;Betrag;Status
B-1001;Alpha GmbH;03.01.2023;1.250,00 €;bezahlt
B-1002;Beta AG;17.02.2023;980,50 €;offen
B-1003;Gamma KG;05.03.2023;12.400,00 €;bezahlt
B-1004;Alpha GmbH;28.04.2023;310,20 €;storniert
B-1005;Delta SE;09.06.2023;2.999,99 €;offen
B-1006;Beta AG;11.01.2024;1.000,00 €;bezahlt
B-1007;Gamma KG;02.03.2024;7.345,10 €;offen
B-1008;Alpha GmbH;30.03.2024;89,90 €;bezahlt
B-1009;Epsilon OHG;15.05.2024;4.020,00 €;bezahlt
B-1010;Delta SE;21.08.2024;655,00 €;offen
B-1011;Beta AG;03.11.2024;1.780,75 €;bezahlt
"""
PRICES = """Product,Category,Price,Stock
Hammer,Tools,$12.50,120
Saw,Tools,$18.90,40
Drill,Machines,$89.00,15
Sander,Machines,$64.00,22
Nails,Supplies,$3.20,900
Glue,Supplies,$4.75,310
Ladder,Equipment,$110.00,8
Gloves,Safety,$7.60,150
"""


def tables_in(text, folder, name="data.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return read_tables(load_csv(path, name, Limits()).sections)


def sheet_version(document_id, text, folder, embedding, name):
    """A CSV file as a document for an index, with a chunk a section."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    sections = load_csv(path, name, Limits()).sections
    version = make_version(
        document_id, [section.text.replace("\n", " ") for section in sections], embedding, title=name
    )
    chunks, start = [], 0
    for chunk, section in zip(version.chunks, sections, strict=True):
        end = start + len(section.text)
        place = {"page_index": None, "page_label": None, "heading": section.heading, "start": start, "end": end}
        chunks.append(replace(chunk, text=section.text, **place))
        start = end
    document = replace(version.document, source=f"/documents/{name}", pages=1)
    return replace(version, document=document, sections=sections, chunks=chunks)
