"""Every way to send a body: each client, shape and kind of body.

What was answered with success is stored once; what was not, is not stored.
"""

import base64
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conformance.recorded import H2C, RECORDED
from tests.harness.clients import SECONDS, exactly, http, raw
from tests.harness.eventhub import EventHubServer
from tests.harness.http import END, answers, asked, everything, head

HERE = Path(__file__).parent / "bodies"
NDJSON = "application/x-ndjson"
JSON = "application/json"


class Kind(NamedTuple):
    """What is published: the second of three events is no valid reading."""

    name: str
    media: str
    body: bytes
    stored: list[int]
    statuses: tuple[int, ...]


KINDS = [
    Kind("one event", JSON, b'{"value":1,"sensor":"t1"}', [1], (201,)),
    Kind("an event that is refused", JSON, b'{"value":"warm"}', [], (422,)),
    Kind("an array", JSON, b'[{"value":1},\n{"value":"warm"},\n{"value":3}]', [1, 3], (207,)),
    Kind("lines", NDJSON, b'{"value":1}\n{"value":"warm"}\n{"value":3}\n', [1, 3], (200, 207)),
    Kind("lines, the last one open", NDJSON, b'{"value":1}\n\n{"value":3}', [1, 3], (200,)),
]
Answer = tuple[int, bytes]
Client = Callable[[EventHubServer, str, Kind], Answer]


def agrees(kind: Kind, answer: Answer) -> bool:
    """Whether the answer, by its status and its text, says which events are stored."""
    status, text = answer
    if status not in kind.statuses:
        return False
    if kind.media == NDJSON:
        last = json.loads(text.splitlines()[-1])
        return bool(last["done"]) and last["accepted"] == len(kind.stored)
    if kind.body.startswith(b"["):
        return ["id" in result for result in json.loads(text)["results"]] == [True, False, True]
    return ("id" in json.loads(text)) is bool(kind.stored)


def stored(hub: EventHubServer, path: str) -> list[float]:
    """The values in the channel, in order."""
    return [
        event["data"]["value"] for event in http.get(f"{hub.url}{path}?limit=1000").json()["events"]
    ]


def channel(client: str, kind: Kind) -> str:
    return "/v1/channels/iot." + "".join(c if c.isalnum() else "-" for c in f"{client} {kind.name}")


def look(hub: EventHubServer, client: str, told: Callable[[str, Kind], Answer]) -> None:
    """Publish each kind of body, and compare the answers with what is stored."""
    for kind in KINDS:
        path = channel(client, kind)
        answer = told(path, kind)
        assert agrees(kind, answer), (client, kind.name, answer)
        assert stored(hub, path) == kind.stored, (client, kind.name, answer)


# Programs


def curl(*options: str) -> Client:
    def client(hub: EventHubServer, path: str, kind: Kind) -> Answer:
        command = [
            "curl",
            "-sS",
            "-m",
            str(SECONDS),
            "-w",
            "\n%{http_code}",
            "-H",
            f"Content-Type: {kind.media}",
            *options,
        ]
        done = subprocess.run(
            [*command, f"{hub.url}{path}"], input=kind.body, capture_output=True, check=True
        )
        text, _, status = done.stdout.rpartition(b"\n")
        return int(status), text

    return client


def wget(hub: EventHubServer, path: str, kind: Kind) -> Answer:
    body = hub.config.parent / f"{path.rpartition('/')[2]}.body"
    body.write_bytes(kind.body)
    options = [
        "-q",
        "-S",
        "-O",
        "-",
        "-T",
        str(SECONDS),
        "-t",
        "1",
        "--content-on-error",
        f"--header=Content-Type: {kind.media}",
    ]
    done = subprocess.run(
        ["wget", *options, f"--post-file={body}", f"{hub.url}{path}"],
        capture_output=True,
        check=False,
    )
    return int(done.stderr.split(b"HTTP/1.1 ")[-1][:3]), done.stdout


PROGRAMS: dict[str, Client] = {
    "curl -d": curl("--data-binary", "@-"),
    "curl -d, in chunks": curl("--data-binary", "@-", "-H", "Transfer-Encoding: chunked"),
    "curl -T": curl("-T", "-"),
    "curl that expects 100": curl("--data-binary", "@-", "-H", "Expect: 100-continue"),
    "curl --http1.0": curl("--http1.0", "--data-binary", "@-"),
    "curl --http2": curl("--http2", "--data-binary", "@-"),
    "wget": wget,
}


@pytest.mark.parametrize(
    "client", [name for name in PROGRAMS if name != "wget" or shutil.which("wget")]
)
def test_programs(hub: EventHubServer, client: str) -> None:
    look(hub, client, lambda path, kind: PROGRAMS[client](hub, path, kind))


def test_curl_with_http_2_prior_knowledge_gets_an_error_and_nothing_is_stored(
    hub: EventHubServer,
) -> None:
    command = [
        "curl",
        "-sS",
        "--http2-prior-knowledge",
        "-m",
        str(SECONDS),
        "--data-binary",
        "7",
        f"{hub.url}/v1/channels/iot.prior",
    ]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0
    assert stored(hub, "/v1/channels/iot.prior") == []


# Libraries


def pieces(body: bytes) -> Iterator[bytes]:
    yield body[:3]
    yield body[3:]


def httpx_client(hub: EventHubServer, path: str, kind: Kind, *, chunked: bool) -> Answer:
    content = pieces(kind.body) if chunked else kind.body
    response = http.post(f"{hub.url}{path}", content=content, headers={"Content-Type": kind.media})
    return response.status_code, response.content


def http_client(hub: EventHubServer, path: str, kind: Kind, *, chunked: bool) -> Answer:
    with closing(HTTPConnection("127.0.0.1", hub.port, timeout=SECONDS)) as connection:
        body = pieces(kind.body) if chunked else kind.body
        connection.request("POST", path, body, {"Content-Type": kind.media}, encode_chunked=chunked)
        response = connection.getresponse()
        return response.status, response.read()


LIBRARIES: dict[str, Client] = {
    "httpx": lambda hub, path, kind: httpx_client(hub, path, kind, chunked=False),
    "httpx, in chunks": lambda hub, path, kind: httpx_client(hub, path, kind, chunked=True),
    "http.client": lambda hub, path, kind: http_client(hub, path, kind, chunked=False),
    "http.client, in chunks": lambda hub, path, kind: http_client(hub, path, kind, chunked=True),
}


@pytest.mark.parametrize("client", LIBRARIES)
def test_libraries(lane_hub: EventHubServer, client: str) -> None:
    look(lane_hub, client, lambda path, kind: LIBRARIES[client](lane_hub, path, kind))


# Programs in other languages: where one is missing, its recorded bytes are sent

OTHERS = {
    "node": (
        ["fetch", "fetch-stream", "http-length", "http-chunked", "http-expect"],
        ["node", str(HERE / "publish.mjs")],
    ),
    "go": (["length", "chunked", "expect"], ["go", "run", str(HERE / "publish.go")]),
    "java": (
        ["length", "chunked", "plain", "expect"],
        ["java", "-XX:TieredStopAtLevel=1", str(HERE / "Publish.java")],
    ),
}


@pytest.mark.parametrize("language", [name for name in OTHERS if shutil.which(name)])
def test_other_languages(hub: EventHubServer, language: str) -> None:
    ways, command = OTHERS[language]
    jobs = [(way, channel(f"{language} {way}", kind), kind) for way in ways for kind in KINDS]
    lines = [
        "\t".join((way, f"{hub.url}{path}", kind.media, base64.b64encode(kind.body).decode()))
        for way, path, kind in jobs
    ]
    done = subprocess.run(
        command,
        input="\n".join((*lines, "")),
        text=True,
        capture_output=True,
        timeout=280,
        check=True,
    )
    told = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(told) == len(jobs), done.stderr
    for (way, path, kind), (status, text) in zip(jobs, told, strict=True):
        answer = int(status), base64.b64decode(text)
        assert agrees(kind, answer), (way, kind.name, answer)
        assert stored(hub, path) == kind.stored, (way, kind.name, answer)


@pytest.mark.parametrize("client", RECORDED)
def test_recorded_bodies_of_other_clients_follow_the_same_rules(
    hub: EventHubServer, client: str
) -> None:
    look(
        hub,
        f"recorded {client}",
        lambda path, kind: replayed(hub, RECORDED[client](path, kind.media, kind.body)),
    )


def replayed(hub: EventHubServer, parts: Sequence[bytes]) -> Answer:
    """The answer to these parts.

    The client waits for 100 Continue between them, and closes its half after the last.
    """
    with raw(hub.port) as sock:
        sock.sendall(parts[0])
        for part in parts[1:]:
            assert exactly(sock, 25) == b"HTTP/1.1 100 Continue\r\n\r\n"
            sock.sendall(part)
        sock.shutdown(1)
        (answer,) = answers(everything(sock))
    return answer.status, answer.body


# Shapes that no library sends


def with_length(path: str, kind: Kind, *fields: str, version: str = "1.1") -> bytes:
    return (
        head(
            "POST",
            path,
            f"Content-Type: {kind.media}",
            f"Content-Length: {len(kind.body)}",
            *fields,
            version=version,
        )
        + kind.body
    )


def in_chunks(
    path: str, kind: Kind, *fields: str, size: int = 7, extension: bytes = b"", trailer: bytes = b""
) -> bytes:
    begun = head("POST", path, f"Content-Type: {kind.media}", "Transfer-Encoding: chunked", *fields)
    parts = [kind.body[at : at + size] for at in range(0, len(kind.body), size)]
    chunks = b"".join(b"%X%b\r\n%b\r\n" % (len(part), extension, part) for part in parts)
    return begun + chunks + b"0" + extension + b"\r\n" + trailer + b"\r\n"


def single_bytes(data: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in data]


def declined(
    form: Callable[..., bytes], upgrade: Sequence[str], path: str, kind: Kind
) -> list[bytes]:
    return [form(path, kind, *upgrade)]


Shape = Callable[[str, Kind], list[bytes]]
SHAPES: dict[str, Shape] = {
    "length": lambda path, kind: [with_length(path, kind)],
    "length, the body in a packet of its own": lambda path, kind: [
        with_length(path, kind)[: -len(kind.body)],
        kind.body,
    ],
    "length, one byte a packet": lambda path, kind: single_bytes(with_length(path, kind)),
    "chunks": lambda path, kind: [in_chunks(path, kind)],
    "chunks of one byte": lambda path, kind: [in_chunks(path, kind, size=1)],
    "chunks, one byte a packet": lambda path, kind: single_bytes(in_chunks(path, kind)),
    "chunks with extensions and trailers": lambda path, kind: [
        in_chunks(
            path, kind, extension=b';a=b;c="d e"', trailer=b"X-Check: 1\r\nServer-Timing: a\r\n"
        )
    ],
    "without waiting for 100": lambda path, kind: [with_length(path, kind, "Expect: 100-continue")],
    "line breaks in front": lambda path, kind: [b"\r\n\r\n" + with_length(path, kind)],
}
FORMS: list[tuple[str, Callable[..., bytes]]] = [("length", with_length), ("chunks", in_chunks)]
DECLINED: dict[str, Shape] = {
    f"{name}, behind {upgrade[-1]}": partial(declined, shape, upgrade)
    for upgrade in (
        H2C,
        ("Connection: Upgrade", "Upgrade: websocket"),
        ("Connection: Upgrade", "Upgrade: TLS/1.0"),
    )
    for name, shape in FORMS
}


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_with_a_request_behind_them(lane_hub: EventHubServer, shape: str) -> None:
    """Whatever the form of the body, the connection serves the next request, unless the answer
    reports progress, which ends it.
    """

    def told(path: str, kind: Kind) -> Answer:
        parts = SHAPES[shape](path, kind)
        more = [] if kind.media == NDJSON and b"Transfer-Encoding" in b"".join(parts) else [END]
        first, *rest = asked(lane_hub.port, *parts, *more)
        assert [answer.status for answer in rest] == [200] * len(more)
        return first.status, first.body

    look(lane_hub, shape, told)


@pytest.mark.parametrize("shape", [*SHAPES, *DECLINED])
def test_shapes_half_closed(hub: EventHubServer, shape: str) -> None:
    def told(path: str, kind: Kind) -> Answer:
        (answer,) = asked(hub.port, *(SHAPES | DECLINED)[shape](path, kind), half_close=True)
        return answer.status, answer.body

    look(hub, f"{shape}, half-closed", told)


def test_http_1_0(hub: EventHubServer) -> None:
    def told(path: str, kind: Kind) -> Answer:
        (answer,) = asked(hub.port, with_length(path, kind, version="1.0"))
        assert "transfer-encoding" not in answer.headers
        return answer.status, answer.body

    look(hub, "1.0", told)


def test_http_1_0_whose_connection_is_kept(hub: EventHubServer) -> None:
    def told(path: str, kind: Kind) -> Answer:
        first, last = asked(
            hub.port, with_length(path, kind, "Connection: keep-alive", version="1.0"), END
        )
        assert (first.headers["connection"], last.status) == ("keep-alive", 200)
        return first.status, first.body

    look(hub, "1.0, kept", told)


def test_pipelined(lane_hub: EventHubServer) -> None:
    """All kinds and forms in one packet, one after the other, a stream last."""
    kinds = [kind for kind in KINDS if kind.media == JSON]
    sent: list[tuple[Callable[..., bytes], Kind]] = [
        (form, kind) for _, form in FORMS for kind in kinds
    ] + [(in_chunks, KINDS[3])]
    paths = [channel(f"pipelined {form.__name__}", kind) for form, kind in sent]
    got = asked(
        lane_hub.port,
        b"".join(form(path, kind) for (form, kind), path in zip(sent, paths, strict=True)),
    )
    assert len(got) == len(sent)
    for answer, (_, kind), path in zip(got, sent, paths, strict=True):
        assert agrees(kind, (answer.status, answer.body)), (kind.name, answer)
        assert stored(lane_hub, path) == kind.stored


@pytest.mark.parametrize("cut", [1, 20, -1], ids=["at its beginning", "within", "before its end"])
@pytest.mark.parametrize("form", [with_length, in_chunks], ids=["length", "chunks"])
def test_a_body_that_is_cut_off(
    hub: EventHubServer, form: Callable[[str, Kind], bytes], cut: int
) -> None:
    """What the answer calls stored is stored; what it calls refused is not."""
    for kind in KINDS:
        path = channel(f"cut {form.__name__} {cut}", kind)
        whole = form(path, kind)
        at = whole.index(b"\r\n\r\n") + 4
        (answer,) = asked(hub.port, whole[:at] + whole[at:][:cut], half_close=True)
        if answer.status == 200:
            last = json.loads(answer.body.splitlines()[-1])
            assert not last["done"]
            assert stored(hub, path) == kind.stored[: last["accepted"]]
        else:
            assert 400 <= answer.status < 500, answer
            progress = json.loads(answer.body).get("progress", {"accepted": 0})
            assert stored(hub, path) == kind.stored[: progress["accepted"]]
