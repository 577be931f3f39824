"""HTML: what is visible, in lines, under headings."""

from __future__ import annotations

from tests.ingest.loaders.documents import headings, load, texts


def write(path, html, encoding="utf-8"):
    path.write_bytes(html.encode(encoding))
    return path


def test_visible_text_under_headings_with_tables_as_rows(tmp_path):
    document = load(
        write(
            tmp_path / "a.html",
            """<!doctype html><html><head><title>Kiln FAQ</title><style>p {}</style></head><body><!-- note -->
            <p>Ask <a href="https://example.org/x">our\n service</a> <b>team</b>.<br>Or ring.</p>
            <h1>Use</h1><p>Plug it in.</p><ul><li>Dry</li><li><p>Level</p></li></ul>
            <h2>Prices <i>2024</i></h2><table><tr><th>Part</th><th>Price</th></tr><tr><td>Door
            <br>switch</td><td>12&nbsp;EUR</td></tr></table><pre>a  b\n  c</pre></body></html>""",
        )
    )

    assert document.title == "Kiln FAQ"
    assert texts(document) == [
        "Ask our service team.\nOr ring.\n\n",
        "Use\nPlug it in.\n- Dry\n- Level\n\n",
        "Prices 2024\nPart | Price\nDoor switch | 12 EUR\na  b\n  c\n\n",
    ]
    assert headings(document) == ["", "Use", "Use › Prices 2024"]


def test_hidden_text_is_left_out(tmp_path):
    hidden = "<script>x1</script><noscript>x2</noscript><template>x3</template><p hidden>x4</p><style>x5</style>"
    hidden += '<div style="color:red; Display : none">x6</div><span style="visibility:hidden">x7</span><!-- x8 -->'

    assert texts(load(write(tmp_path / "a.htm", f"<p>seen</p>{hidden}"))) == ["seen\n\n"]


def test_pages_that_a_script_uncovers_and_formulas_are_read(tmp_path):
    formula = "<math><mi>E</mi><mo>=</mo><mi>m</mi><annotation>E=m</annotation></math>"

    assert texts(load(write(tmp_path / "a.html", f'<body style="display:none"><p>So {formula}.</p></body>'))) == [
        "So E=m.\n\n"
    ]


def test_navigation_is_left_out_unless_there_is_nothing_else(tmp_path):
    menu = "<nav><a href='/a'>Kilns</a> <a href='/b'>About us</a></nav>"
    assert texts(load(write(tmp_path / "a.html", f"<body>{menu}<p>We make kilns.</p></body>"))) == [
        "We make kilns.\n\n"
    ]
    assert "About us" in texts(load(write(tmp_path / "b.html", f"<body>{menu}</body>")))[0]


def test_a_table_that_lays_out_the_page_is_read_as_a_page(tmp_path):
    layout = "<table><tr><td><h1>Left</h1><p>One.</p></td><td><p>Two.</p></td></tr></table>"

    assert texts(load(write(tmp_path / "a.html", layout))) == ["Left\nOne.\nTwo.\n\n"]


def test_declared_encodings_are_believed_and_deep_nesting_is_read(tmp_path):
    page = '<meta charset="koi8-r"><p>Привет, мир</p>'
    deep = "<div>" * 5000 + "bottom" + "</div>" * 5000

    assert texts(load(write(tmp_path / "a.html", page, "koi8-r"))) == ["Привет, мир\n\n"]
    assert "bottom" in texts(load(write(tmp_path / "b.html", deep)))[0]


def test_xhtml_is_read_without_a_warning(tmp_path):
    page = (
        '<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml"><body><p>X</p></body></html>'
    )

    assert texts(load(write(tmp_path / "a.html", page))) == ["X\n\n"]


def test_the_first_heading_is_the_title_where_there_is_none(tmp_path):
    assert load(write(tmp_path / "a.html", "<title>untitled</title><h1>Kilns</h1>")).title == "Kilns"
