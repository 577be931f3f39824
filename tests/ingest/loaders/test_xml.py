"""XML: documents under their titles, feeds as articles, data as lines, and nothing that an attacker hopes for."""

from __future__ import annotations

import time

import pytest

from rag.errors import EmptyDocument, UnreadableDocument
from tests.ingest.loaders.documents import headings, load, texts


def load_xml(tmp_path, text, encoding="utf-8"):
    (tmp_path / "a.xml").write_bytes(text.encode(encoding))
    return load(tmp_path / "a.xml")


def test_docbook_is_read_under_its_titles(tmp_path):
    document = load_xml(
        tmp_path,
        """<?xml version="1.0"?><!DOCTYPE book>
        <book xmlns="http://docbook.org/ns/docbook"><info><title>The Kiln</title></info>
        <chapter><title>Use</title><para>Plug it <emphasis>in</emphasis>:<itemizedlist><listitem><para>dry</para>
        </listitem></itemizedlist></para><section><title>Heat</title><programlisting>set  1
  go</programlisting></section><para>Last words.</para></chapter>
        <table><title>Prices</title><row><entry>Door</entry><entry>12</entry></row></table></book>""",
    )

    assert document.title == "The Kiln"
    assert list(zip(headings(document), texts(document), strict=True)) == [
        ("", "The Kiln\n\n"),
        ("Use", "Use\nPlug it in:\ndry\n\n"),
        ("Use › Heat", "Heat\nset  1\n  go\n\n"),
        ("Use", "Last words.\n\n"),
        ("", "Prices\nDoor | 12\n\n"),
    ]


def test_jats_and_tei_are_read_under_their_titles(tmp_path):
    jats = load_xml(
        tmp_path,
        "<article><front><title-group><article-title>Kilns</article-title></title-group></front><body><sec><title>Methods"
        "</title><p>H<sub>2</sub>O boils.</p></sec></body><ref><element-citation><article-title>Old</article-title>"
        "</element-citation></ref></article>",
    )
    assert (jats.title, headings(jats)) == ("Kilns", ["", "Methods", ""])
    assert texts(jats)[1:] == ["Methods\nH2O boils.\n\n", "Old\n\n"]

    tei = load_xml(
        tmp_path,
        "<TEI><teiHeader><titleStmt><title>Odes</title></titleStmt></teiHeader>"
        "<text><div><head>I</head><p>Hot.</p></div></text></TEI>",
    )
    assert (tei.title, headings(tei)) == ("Odes", ["", "I"])


def test_feeds_are_articles(tmp_path):
    rss = load_xml(
        tmp_path,
        """<rss><channel><title>Kiln news</title><item><title>Hot</title><guid>g1</guid><pubDate>Mon</pubDate>
        <description>short</description><c:encoded xmlns:c="x"><![CDATA[<p>Very <b>hot</b> news.</p>]]></c:encoded>
        </item></channel></rss>""",
    )
    assert (rss.title, texts(rss)[0]) == ("Kiln news", "title: Kiln news\n\n")
    assert (rss.sections[1].heading, rss.sections[1].record_id) == ("Hot", "g1")
    assert texts(rss)[1] == "title: Hot\nguid: g1\npubDate: Mon\n\nVery hot news.\n\n"

    atom = load_xml(
        tmp_path, "<feed><title>F</title><entry><title>E</title><id>i</id><summary>s</summary></entry></feed>"
    )
    assert [(s.heading, s.record_id) for s in atom.sections] == [("", None), ("E", "i")]


def test_data_is_lines_under_the_names_of_its_records(tmp_path):
    document = load_xml(
        tmp_path,
        """<shop xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:schemaLocation="x"><since>1990</since><parts>
        <part id="p1"><name>Door</name><price currency="EUR">12</price><size><w>3</w></size></part>
        <part id="p2"><name>Lamp &amp; &#x20AC;</name><empty/><on v="1"/></part></parts></shop>""",
    )

    assert [(s.heading, s.record_id) for s in document.sections] == [
        ("", None),
        ("parts › part: Door", "p1"),
        ("parts › part: Lamp & €", "p2"),
    ]
    assert texts(document) == [
        "since: 1990\n\n",
        "id=p1\nname: Door\nprice: 12 (currency=EUR)\nsize.w: 3\n\n",
        "id=p2\nname: Lamp & €\non: v=1\n\n",
    ]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "koi8-r", "utf-8-sig"])
def test_encodings_are_believed_and_found(tmp_path, encoding):
    declared = encoding if encoding == "koi8-r" else "utf-8"

    assert texts(
        load_xml(tmp_path, f'<?xml version="1.0" encoding="{declared}"?><a><b>Печь горячая</b></a>', encoding)
    ) == ["b: Печь горячая\n\n"]


def test_entities_are_never_resolved(tmp_path):
    (tmp_path / "secret.txt").write_text("swordfish")
    levels = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    started = time.monotonic()

    laughs = load_xml(tmp_path, f'<!DOCTYPE a [<!ENTITY l0 "laughter">{levels}]><a><b>seen &l11; too</b></a>')
    foreign = load_xml(
        tmp_path,
        f'<!DOCTYPE a [<!ENTITY s SYSTEM "file://{tmp_path}/secret.txt"><!ENTITY % p SYSTEM "http://127.0.0.1:9/x">%p;]>'
        "<a><b>seen &s;</b></a>",
    )

    assert "seen" in texts(laughs)[0]
    assert len(texts(laughs)[0]) < 100
    assert "swordfish" not in texts(foreign)[0]
    assert time.monotonic() - started < 60


def test_damage_is_told(tmp_path):
    document = load_xml(tmp_path, "<a><b>one</b><c>two</c><d>thr")

    assert texts(document)[0].startswith("b: one\nc: two\n")
    assert "not well-formed" in document.notice
    assert "not well-formed" in load_xml(tmp_path, "<a><b>one</b>" + "<a>" * 5000 + "bottom").notice
    for text in ("<a>" * 5000 + "bottom", "no element at all"):
        with pytest.raises(UnreadableDocument, match="not XML"):
            load_xml(tmp_path, text)
    with pytest.raises(EmptyDocument):
        load_xml(tmp_path, "<a><b/></a>")


def test_pages_in_xhtml_are_read_as_pages(tmp_path):
    page = '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml">'
    page += "<head><title>Kilns</title></head><body><h1>Use</h1></body></html>"

    document = load_xml(tmp_path, page)

    assert (document.title, headings(document)) == ("Kilns", ["Use"])
