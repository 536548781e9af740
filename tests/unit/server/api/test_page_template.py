"""server/api/page_template.py: parts, relative addresses and preloaded modules."""

import pytest

from eventhub.server.api.page_template import PageTemplate, imports, style_name

SOURCES = {
    "pages/a/a.js": 'import { b } from "./b.js";\nimport {\n  c,\n} from "../../c.js";\n'
    '// import { no } from "./no.js";\nconst later = () => import("./later.js");\n',
    "pages/a/b.js": 'import "./d.js";\nexport * from "../../c.js";\nimport x from "a-package";\n',
    "pages/a/d.js": 'export function f() {\n  return `import y from "./none.js"`;\n}\n',
    "c.css": "a { color: red }\n",
    "pages/a/a.css": "b { color: blue }\n",
    "c.js": 'import { a } from "./pages/a/a.js";\n',
}
PARTS = {
    "head": '  <link href="/static/c.css">\n',
    "header": '<a href="/">\n  <!-- nav -->\n',
    "nav": '<nav><a class="x" href="/logs">Logs</a><a href="/logsome">No</a></nav>\n',
}
TEMPLATE = PageTemplate(PARTS, SOURCES, "v-1")


def test_imports_are_found_nearest_first_and_once() -> None:
    assert imports("pages/a/a.js", SOURCES) == ["pages/a/b.js", "c.js", "pages/a/d.js"]
    assert imports("pages/a/d.js", SOURCES) == []


@pytest.mark.parametrize(
    ("address", "top", "deep"),
    [
        ("/", "./", "../"),
        ("/docs", "docs", "../docs"),
        ("/explore?a=b", "explore?a=b", "../explore?a=b"),
        ("/static/x.css", "static/v-1/x.css", "../static/v-1/x.css"),
        ("#main", "#main", "#main"),
        ("//host/x", "//host/x", "//host/x"),
        ("https://host/x", "https://host/x", "https://host/x"),
    ],
)
def test_addresses_are_relative_to_the_page(address: str, top: str, deep: str) -> None:
    text = f'<a href="{address}"><p data-action="/x">'
    assert TEMPLATE.render(text, "/logs") == f'<a href="{top}"><p data-action="/x">'
    assert TEMPLATE.render(text, "/logs/{pattern}") == f'<a href="{deep}"><p data-action="/x">'


def test_parts_are_filled_in_and_the_link_to_the_page_is_marked() -> None:
    text = "<head>\n  <!-- head -->\n</head>\n  <!-- header -->\n<!-- a comment -->\n"
    assert TEMPLATE.render(text, "/logs/{pattern}") == (
        '<head>\n  <link href="../static/v-1/c.css">\n</head>\n<a href="../">\n'
        '<nav><a aria-current="page" class="x" href="../logs">Logs</a>'
        '<a href="../logsome">No</a></nav>\n<!-- a comment -->\n'
    )
    assert "aria-current" not in TEMPLATE.render(text, "/")


def test_what_a_script_imports_is_loaded_at_once() -> None:
    script = '  <script type="module" src="/static/pages/a/a.js"></script>\n'
    assert TEMPLATE.render(script, "/x") == (
        '  <script type="module" src="static/v-1/pages/a/a.js"></script>\n'
        '  <link rel="modulepreload" href="static/v-1/pages/a/b.js">\n'
        '  <link rel="modulepreload" href="static/v-1/c.js">\n'
        '  <link rel="modulepreload" href="static/v-1/pages/a/d.js">\n'
    )


def test_the_style_sheets_of_a_page_are_one_file_in_their_order() -> None:
    link = '<link rel="stylesheet" href="/static/{}">\n'
    parts = {"head": f"  {link.format('c.css')}"}
    template = PageTemplate(parts, SOURCES, "v-1")
    text = f"  <!-- head -->\n<title>A</title>\n  {link.format('pages/a/a.css')}<p>\n"
    assert template.render(text, "/a/{b}") == (
        '  <link rel="stylesheet" href="../static/v-1/pages/all-a-b.css">\n<title>A</title>\n<p>\n'
    )
    assert template.styles(text, "/a/{b}") == "a { color: red }\n\nb { color: blue }\n"
    assert template.render("<p>\n", "/") == "<p>\n"


def test_each_page_has_a_style_sheet_of_its_own_name() -> None:
    assert [style_name(path) for path in ("/", "/a", "/a/{b}")] == [
        "pages/all.css", "pages/all-a.css", "pages/all-a-b.css"
    ]  # fmt: skip
