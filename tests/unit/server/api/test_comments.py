"""server/api/comments.py: what is left out of scripts and style sheets, and what never is."""

from eventhub.server.api.comments import without_comments
from eventhub.server.api.pages import web_directory


def test_comments_of_scripts_are_left_out_and_lines_keep_their_numbers() -> None:
    script = b"""// One.
/** Two,
 *  three. */
export const a = 1; // four
  // five
  return a;
"""
    assert without_comments("a.js", script) == (
        b"\n\n\nexport const a = 1; // four\n\n  return a;\n"
    )


def test_what_is_in_quotes_is_no_comment() -> None:
    script = b"""const lines = `a \\`
// in a template
`;
const url = "/*", other = '// \\' /* ';
/*! licence */
"""
    assert without_comments("a.js", script) == script


def test_comments_of_style_sheets_are_left_out_wherever_they_stand() -> None:
    sheet = b'/* one\n two */\na { color: red; /* three */ content: "/* four */"; }\n'
    assert without_comments("a.css", sheet) == (b'\n\na { color: red;  content: "/* four */"; }\n')
    assert without_comments("a.svg", sheet) == sheet


def test_every_file_of_the_pages_keeps_its_lines_of_code() -> None:
    """A line that begins with neither of the signs of a comment is code, and stays."""
    for file in web_directory().rglob("pages/**/*.js"):
        lines = file.read_bytes().split(b"\n")
        found = without_comments(file.name, file.read_bytes()).split(b"\n")
        signs = (b"//", b"/*", b"*")
        code = [line for line in lines if line.strip() and not line.strip().startswith(signs)]
        assert [line for line in found if line in code and line] == code, file.name
