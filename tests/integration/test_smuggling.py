"""Request smuggling, with nginx as the judge: it may stand before EventHub, so no bytes may be a
request for EventHub that are none for nginx. The cases, and h11's verdict, are in
unit/server/http/test_smuggling.py.
"""

from collections.abc import Iterator

import pytest

from tests.harness.loop import in_loop
from tests.harness.nginx_judge import NginxJudge
from tests.unit.server.http.lane_node import post, running
from tests.unit.server.http.test_smuggling import CASES, HIDDEN, LENIENT, answered, known

STRICTER = "a coding with a tab"
"""What nginx alone refuses, with all behind it: white space before a value may be a tab (RFC 9112,
5), and h11 reads it so.
"""
JUDGED = {name: case for name, case in {**CASES, **LENIENT}.items() if name != STRICTER}
ERRORS = (b"100", b"400", b"408", b"431", b"505")


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NginxJudge]:
    with NginxJudge(tmp_path_factory.mktemp("nginx")) as judge:
        yield judge


def test_nginx_reads_usual_requests(nginx: NginxJudge) -> None:
    address = b"/v1/channels/raw.a"
    expected = [(b"POST", address), (b"PUT", address), (b"POST", b"/v1/channels/raw.hidden")]
    assert nginx.read(post() + post(method="PUT") + HIDDEN) == expected


@pytest.mark.parametrize("case", JUDGED.values(), ids=JUDGED)
@in_loop
async def test_what_nginx_does_not_read_is_no_request(case: bytes, nginx: NginxJudge) -> None:
    data = post() + case + HIDDEN
    theirs = nginx.read(data)
    async with running() as node:
        connection = await known(node)
        statuses = await answered(connection, [data])
        hidden = await node.stored("raw.hidden")
    assert theirs, "nginx reads the usual request before it"
    assert len([status for status in statuses if status not in ERRORS]) <= len(theirs)
    assert len(hidden) <= sum(address.endswith(b"raw.hidden") for _, address in theirs)


def test_what_nginx_alone_refuses_does_not_get_past_it(nginx: NginxJudge) -> None:
    assert nginx.read(CASES[STRICTER] + HIDDEN) == []
