"""Compressed bodies, from programs that nobody here wrote."""

import gzip
import json
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.clients import NdjsonProducer, WsClient, http
from tests.harness.eventhub import EventHubServer

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Channel = Callable[[str], str]
LINES = b"".join(b'{"level":"info","message":"%d"}\n' % number for number in range(5000))
ONE = LINES.splitlines()


def test_curl_sends_what_gzip_wrote(hub: EventHubServer, channel: Channel, tmp_path: Path) -> None:
    name, file = channel("logs"), tmp_path / "lines"
    file.write_bytes(LINES)
    subprocess.run(["gzip", file], check=True)
    done = subprocess.run(
        [
            *("curl", "-s", "-T", f"{file}.gz", f"{hub.url}/v1/channels/{name}"),
            *("-H", "Content-Encoding: gzip", "-H", "Content-Type: application/x-ndjson"),
        ],
        check=True,
        capture_output=True,
    )
    last = json.loads(done.stdout.splitlines()[-1])
    assert (last["accepted"], last["rejected"]) == (5000, 0)
    page = http.get(f"{hub.url}/v1/channels/{name}", params={"since": "-1"}).json()
    assert page["events"][0]["data"]["message"] == "4999"


@pytest.mark.parametrize(
    ("coding", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("zstd", zstd.compress)],
)
def test_every_kind_of_body_may_be_compressed(
    hub: EventHubServer, channel: Channel, coding: str, pack: Callable[[bytes], bytes]
) -> None:
    name, headers = channel("logs"), {"Content-Encoding": coding}
    item = b'{"channel":"%b","data":{"level":"info","message":"3"}}' % name.encode()
    with WsClient(hub.ws_url) as reader:
        reader.subscribe(name)
        for path, body in [
            (f"channels/{name}", ONE[0]),
            (f"channels/{name}", b"[" + ONE[1] + b"," + ONE[2] + b"]"),
            ("events", b"[" + item + b"]"),
        ]:
            answer = http.post(f"{hub.url}/v1/{path}", content=pack(body), headers=headers)
            assert answer.status_code in (200, 201), answer.text
        assert [event["data"]["message"] for event in reader.events(4)] == ["0", "1", "2", "3"]


def test_a_line_of_a_compressed_stream_is_stored_when_its_producer_flushes(
    hub: EventHubServer, channel: Channel
) -> None:
    packer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    with NdjsonProducer(hub.port, channel("logs"), "Content-Encoding: gzip\r\n") as producer:
        for count in (1, 2):
            packed = packer.compress(b'{"level":"info","message":"a"}\n')
            producer.send(packed + packer.flush(zlib.Z_SYNC_FLUSH))
            assert producer.progress()["accepted"] == count


def test_lines_before_the_fault_of_a_stream_are_stored(
    hub: EventHubServer, channel: Channel
) -> None:
    answer = http.post(
        f"{hub.url}/v1/channels/{channel('logs')}",
        content=iter([gzip.compress(LINES)[:-9]]),
        headers={"Content-Encoding": "gzip", "Content-Type": "application/x-ndjson"},
    )
    last = json.loads(answer.text.splitlines()[-1])
    assert 4990 < last["accepted"] <= 5000
    assert "the body ends within its gzip data" in last["error"]["message"]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (gzip.compress(bytes(100_000_000)), 413, "limits.body_bytes"),
        (b"{}", 400, "no valid gzip"),
        (gzip.compress(b"[1]")[:-1], 400, "ends within its gzip data"),
    ],
    ids=["a bomb", "not compressed", "cut off"],
)
def test_a_bad_body_is_refused_by_its_cause(
    hub: EventHubServer, channel: Channel, body: bytes, status: int, said: str
) -> None:
    answer = http.post(
        f"{hub.url}/v1/channels/{channel('logs')}",
        content=body,
        headers={"Content-Encoding": "gzip"},
    )
    assert answer.status_code == status
    assert said in answer.json()["detail"]


def test_another_coding_is_refused_with_those_that_are_accepted(
    hub: EventHubServer, channel: Channel
) -> None:
    answer = http.post(
        f"{hub.url}/v1/channels/{channel('logs')}", content=b"x", headers={"Content-Encoding": "br"}
    )
    assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "gzip, deflate, zstd")
