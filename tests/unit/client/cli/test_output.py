"""eventhub_client/cli/output.py: texts of others that are shown in a terminal."""

from eventhub_client.cli.output import visible, visible_lines


def test_control_characters_are_shown_and_not_obeyed() -> None:
    assert visible("é\x1b]0;t\x07\x9b2J\x7f\n") == r"é\x1b]0;t\x07\x9b2J\x7f\x0a"


def test_lines_and_tabs_stay_where_they_are_allowed() -> None:
    assert visible_lines("a\tb\n\r\x1bc") == "a\tb\n\\x0d\\x1bc"
