"""server/publish/lines.py: chunks of a body become lines, and a long line is not held."""

import pytest

from eventhub.server.publish.lines import LineSplitter

LIMIT = 4


def split(*chunks: bytes) -> list[bytes | None]:
    """The lines of a body that arrives in these chunks."""
    splitter = LineSplitter(LIMIT)
    lines: list[bytes | None] = []
    for chunk in chunks:
        lines += splitter.split(chunk, last=False)
        assert splitter.held <= LIMIT
    return lines + splitter.split(b"", last=True)


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (b"", []),
        (b"1\n2\n", [b"1", b"2"]),
        (b"1\n2", [b"1", b"2"]),
        (b"\n\n", [b"", b""]),
        (b"1234\n1", [b"1234", b"1"]),
    ],
)
def test_lines_do_not_depend_on_the_chunks(
    body: bytes, lines: list[bytes | None], size: int
) -> None:
    assert split(*(body[at : at + size] for at in range(0, len(body), size))) == lines


@pytest.mark.parametrize("end", [(b"6\n1\n",), (b"6", b"\n1"), (b"67890", b"1\n", b"1\n")])
def test_a_line_that_is_longer_than_the_limit_is_none_and_the_next_one_is_whole(
    end: tuple[bytes, ...],
) -> None:
    assert split(b"12345", *end) == [None, b"1"]


def test_a_long_line_that_the_body_ends_is_none() -> None:
    assert split(b"12345") == [None]
    assert split(b"12345", b"678") == [None]
