"""A search for inputs that cost much CPU time: `python -m tests.fuzz.dear --seconds 60`.

An input is a recipe: a head, an item that is repeated until the size is reached, and a tail. `~` in
an item becomes its number, so that names differ. The cost of an input is its CPU time divided by
that of a harmless message of the same size in the same run: a publish of records through the same
session. The most expensive inputs of each entrance are kept beside this file.
"""

import argparse
import asyncio
import base64
import gc
import json
import logging
import random
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from time import monotonic, thread_time
from types import SimpleNamespace
from typing import Any, NamedTuple

import structlog
from fastapi.exceptions import RequestValidationError

from eventhub.auth.grants import Action, Grants
from eventhub.auth.principal import ANYONE
from eventhub.auth.tokens import TokenVerifier, UnknownKey
from eventhub.auth.verification_keys import VerificationKey
from eventhub.common.machine import Machine
from eventhub.delivery.subscriber import Subscriber
from eventhub.errors import EventHubError
from eventhub.events.builtin_payloads import BUILT_IN
from eventhub.events.channel_types import (
    ChannelType,
    ChannelTypes,
    PublisherKind,
    Retention,
    SlowReaderPolicy,
)
from eventhub.events.event import Latest
from eventhub.events.schema import AnySchema, FileSchema, ModelSchema, Schema
from eventhub.hub.cluster import Cluster
from eventhub.presence.notifier import CROWD
from eventhub.presence.roster import MEMBER_LENGTH
from eventhub.server.api.operator_routes import BODY_BYTES, parse_body
from eventhub.server.connections.fair_queue import FairQueue
from eventhub.server.connections.operator_requests import BlockRequest
from eventhub.server.process.server import GARBAGE
from eventhub.server.publish.batch import BatchDecoder
from eventhub.server.publish.ndjson import NdjsonPublish
from eventhub.server.publish.request import PublishRequest
from eventhub.server.security.authentication import Authentication
from eventhub.server.streams.query import StreamQuery
from eventhub.server.streams.selection_begin import STREAM_CHANNELS
from eventhub.server.websocket.frame_parser import FrameParser
from eventhub.session.interfaces import SessionLimits
from tests.fuzz import dear_requests
from tests.harness.credentials import SECRET, token
from tests.unit.server.connections.manager_builder import build
from tests.unit.server.security.test_authentication import authentication as made_guard
from tests.unit.session.session_client import Client, Line, Node

FILE = Path(__file__).parent / "dear.json"
KEPT = 4
"""Recipes of an entrance."""
EVENT, HEAD, TOKEN = 65_000, 32_000, 7_900
"""Bytes that an entrance takes: nearly the most."""
PATIENCE = 0.25
"""Seconds of CPU time: nothing that takes longer is measured again."""


class Recipe(NamedTuple):
    """The parts of an input."""

    head: str
    item: str
    tail: str

    def made(self, size: int) -> bytes:
        """Build the input with about this many bytes."""
        longest = len(self.item.replace("~", "9999").encode()) or 1
        times = max(1, (size - len(self.head.encode()) - len(self.tail.encode())) // longest)
        middle = (
            "".join(self.item.replace("~", str(number)) for number in range(times))
            if "~" in self.item
            else self.item * times
        )
        return (self.head + middle.rstrip(",") + self.tail).encode(errors="surrogatepass")


RECORDS = Recipe(
    '{"type":"publish","channel":"json.a","data":[',
    '{"id":~,"name":"greenhouse","value":21.5,"ok":true},',
    "]}",
)
"""The harmless message."""
FORM = {
    "type": "object",
    "properties": {
        "a": {"type": "string"},
        "l": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
    },
    "patternProperties": {"^x": {"type": "string"}},
    "additionalProperties": {
        "anyOf": [
            {"type": "string"},
            {"type": "array", "items": {"oneOf": [{"type": "string"}, {"type": "boolean"}]}},
        ]
    },
}


@cache
def schemas() -> dict[str, Schema]:
    """The payload schemas that are searched."""
    models: dict[str, Schema] = {name: ModelSchema(model) for name, model in BUILT_IN.items()}
    return models | {"json": AnySchema(), "form": FileSchema(FORM)}


@cache
def node() -> ChannelTypes:
    def kind(name: str, schema: Schema) -> ChannelType:
        return ChannelType(
            name,
            name,
            schema,
            Retention(10, None),
            presence=True,
            slow=SlowReaderPolicy.DROP,
            publish=frozenset(PublisherKind),
            anonymous=frozenset(Action),
        )

    return ChannelTypes({name: kind(name, schema) for name, schema in schemas().items()})


def framed(data: bytes, first: int = 0x81) -> bytes:
    """A client's frame with a mask of zeros: masking in Python would take most of the time."""
    size = len(data)
    length = (
        bytes((0x80 | size,))
        if size < 126
        else b"\xfe" + size.to_bytes(2)
        if size < 65536
        else b"\xff" + size.to_bytes(8)
    )
    return bytes((first,)) + length + bytes(4) + data


def message(data: bytes) -> None:
    """A message through the frame parser and a session."""
    client = Client(limits=SessionLimits(65536, 128, 25.0, 32, 65536))
    client.node = Node(types=node())
    client.session._channels = client.node
    for _, payload in FrameParser(65536).feed(framed(data)):
        client.session.receive(payload)


def packed(data: bytes) -> None:
    """The same, compressed. Its size is that of the inflated message, by which it is charged."""
    deflate = zlib.compressobj(1, wbits=-15)
    frame = framed((deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4], 0xC1)
    client = Client(limits=SessionLimits(65536, 128, 25.0, 32, 65536))
    for _, payload in FrameParser(65536, deflate=True).feed(frame):
        client.session.receive(payload)


@cache
def request(payload: str) -> PublishRequest:
    manager = build()
    manager.hub.types = node()
    scope: dict[str, Any] = {
        "path": f"/v1/channels/{payload}.a",
        "query_string": b"",
        "headers": [],
        "client": None,
    }
    return PublishRequest(manager, scope, {}, ANYONE)


def event(payload: str, data: bytes) -> None:
    """A whole body of a POST."""
    request(payload).decoder.decode(data)


def form(data: bytes) -> None:
    """An event of a type whose JSON Schema has unions and patterns."""
    schemas()["form"].canonical(data)


def array(payload: str, data: bytes) -> None:
    """An array of a few such events, so that the cost of one shows."""

    async def take() -> None:
        fair_queue = FairQueue(asyncio.get_running_loop())
        await BatchDecoder(request(payload), fair_queue, lambda error, received: None).decode(
            b"[" + data + b"]"
        )

    asyncio.run(take())


def stream(data: bytes) -> None:
    """NDJSON lines; a broken bar in a recipe stands for a line break."""

    async def take() -> None:
        hub = SimpleNamespace(
            rejected=lambda *_: None,
            publish=_stored,
            publishes_now=False,
            now=lambda: 0,
        )
        desk = SimpleNamespace(hub=hub, fair_queue=FairQueue(asyncio.get_running_loop()))
        ingest = NdjsonPublish(desk, request("json"), SimpleNamespace(charge_for=lambda kind: None))  # type: ignore[arg-type]  # as much as lines need
        await ingest._take_chunk(data.replace("¦".encode(), b"\n"), last=True)

    asyncio.run(take())


async def _stored(events: Any, traces: Any) -> Any:
    return [SimpleNamespace(position="a-1", replayed=False)] * len(events)


def query(data: bytes) -> None:
    """A query string."""
    StreamQuery(data)


def event_stream(data: bytes) -> None:
    """The address of an event stream and, after a broken bar, its Last-Event-ID; then its
    subscriptions.
    """
    address, _, last = data.partition("¦".encode())
    client = Client(limits=SessionLimits(65536, 128, 25.0, 32, 65536))
    client.node = Node(types=node())
    client.session._channels = client.node
    wanted = StreamQuery(address, None, last.decode("latin-1"))
    if len(wanted.channels) <= STREAM_CHANNELS:
        wanted.subscribe(client.session)
    wanted.positions()


class Sink(Line):
    """A writer that keeps nothing: keeping many long answers would copy each of them."""

    def write(self, data: bytes) -> None: ...


class Room(Node):
    """The presence of a hub: a full room whose members have the longest names."""

    def __init__(self) -> None:
        super().__init__(types=node())
        self.nodes = Cluster(None, None, None, Machine())  # type: ignore[arg-type]  # as much as one node needs
        for number in range(CROWD - 1):
            self.nodes.join(
                Subscriber(
                    "json.a",
                    Latest(),
                    Line(),
                    lambda *_: None,
                    f"\1{number:03}" * (MEMBER_LENGTH // 4),
                )
            )

    def subscribe(self, subscriber: Subscriber, data: bytes = b"") -> None:
        self.nodes.join(subscriber)
        super().subscribe(subscriber)

    def watch(self, subscriber: Subscriber) -> dict[str, Any]:
        return self.nodes.watch(subscriber)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        self.nodes.unwatch(subscriber)
        self.nodes.leave(subscriber)

    def tell(self) -> None:
        """Send the gathered changes."""
        for _ in self.nodes._watchers.flush(monotonic()):
            pass


def commands(data: bytes) -> None:
    """Messages of one connection, one in each frame, to a hub with presence; the gathered changes
    are sent at the end.
    """
    client = Client(limits=SessionLimits(65536, 128, 25.0, 32, 65536))
    client.session._channels = client.node = room = Room()
    client.session._writer = Sink()
    parser = FrameParser(65536)
    for line in data.split("¦".encode()):
        for _, payload in parser.feed(framed(line)):
            client.session.receive(payload)
    room.tell()
    client.session.close()
    room.tell()


def operator(data: bytes) -> None:
    """A body of an operator."""
    with suppress(RequestValidationError):
        parse_body(data, BlockRequest)


@cache
def authentication(**fields: Any) -> Authentication:
    """An authentication with keys and tokens."""
    return made_guard(**fields)


def address_token(data: bytes) -> None:
    """A query string with a credential, which is removed from it and checked."""
    with suppress(UnknownKey):
        guarded = authentication(query=True)
        guarded.identify(guarded.move_query_token(data, {})[1])


def header_token(data: bytes) -> None:
    """A header with a credential, and the same as subprotocols."""
    with suppress(UnknownKey, EventHubError):
        authentication().identify({b"authorization": data})
    authentication().identify({}, [name.strip() for name in data.decode("latin-1").split(",")])


def credential(data: bytes) -> None:
    """The head of an unsigned token."""
    with suppress(UnknownKey):
        verifier().verify(f"{base64.urlsafe_b64encode(data[:5900]).rstrip(b'=').decode()}.e30.AAAA")


def claims(data: bytes) -> None:
    """Patterns of a signed token, and a channel to match."""
    patterns = [part[:200] for part in data.decode(errors="replace").split(",")[:100]]
    grants = verifier().verify(token(sub="a", channels={"subscribe": patterns})).grants
    assert isinstance(grants, Grants)
    grants.allow(Action.SUBSCRIBE, ".".join("a" * 100))


@cache
def verifier() -> TokenVerifier:
    return TokenVerifier([VerificationKey(None, "HS256", SECRET)], None, None, 5)


ENTRANCES: dict[str, tuple[Callable[[bytes], None], int]] = {
    "message": (message, EVENT),
    "packed": (packed, EVENT),
    **{
        f"event of {name}": (partial(event, name), EVENT)
        for name in ("json", "chat", "log", "reading")
    },
    "event with a schema": (form, EVENT),
    **{
        f"array of {name}": (partial(array, name), EVENT)
        for name in ("json", "chat", "log", "form")
    },
    "stream": (stream, EVENT),
    "query": (query, HEAD),
    "event stream": (event_stream, HEAD),
    "commands": (commands, EVENT),
    "operator": (operator, BODY_BYTES),
    "token in an address": (address_token, HEAD),
    "token in a header": (header_token, HEAD),
    "credential": (credential, TOKEN),
    "claims": (claims, TOKEN),
    "history": (dear_requests.history, HEAD - 100),
    "operators' connections": (dear_requests.connections, HEAD - 100),
    "operators' blocks": (dear_requests.unblock, HEAD - 100),
    "operators' bodies": (dear_requests.disconnect, BODY_BYTES),
}

JSON_HEADS = (
    "", "[", '{"a":[', '{"data":', '{"sender":"a","text":[',
    '{"level":"info","message":"m","fields":{', '{"value":[', "{", '{"l":[',
)  # fmt: skip
PING = '{"type":"ping"}¦'.encode()
LINE = Recipe("", "1¦", "")
ITEM = Recipe("", "1,", "")
ITEMIZED: dict[str, tuple[Callable[[bytes], None], Recipe]] = {
    "stream": (stream, LINE),
    **{
        f"array of {name}": (partial(array, "json"), ITEM)
        for name in ("json", "chat", "log", "form")
    },
}
"""What is paid for by its items, and costs by them: beside it stands one of the smallest items,
which are all taken.
"""
REQUESTS = {
    "history": dear_requests.default_page,
    "operators' connections": dear_requests.connections_list,
    "operators' blocks": dear_requests.block_removed,
    "operators' bodies": dear_requests.disconnected,
}
"""Whole requests. Beside them stand a publish of as many bytes, and what else is asked for there in
the ordinary way.
"""
RECORD_BODY = Recipe('{"rows":[', RECORDS.item, "]}")
PUBLISH = '{"type":"publish","channel":'
MESSAGES = (
    '{"type":"ping",', '{"type":"ping","x":[', PUBLISH + '"json.a","data":[',
    PUBLISH + '"chat.a","data":{', PUBLISH + '"json.a","data":1,"attributes":{',
    '{"type":"subscribe","channel":"', '{"type":"auth","token":"', "[", '{"ref":[',
    PUBLISH + '"form.a","data":{"l":[', '{"type":"unsubscribe","channel":[',
    PUBLISH + '"log.a","data":{',
)  # fmt: skip
ITEMS = (
    "[],", "{},", "1,", "1e5,", '"",', '"~",', '"~":1,', '"x~":[[]],', '"a":1,', "[[],[]],",
    '{"k":~},', "12345678901234567890,", "0.1234567890123,", "null,", "[" * 28 + "]" * 28 + ",",
    "\\u00e9", "\\ud83d\\ude00", "\\\\", "é", "[", "{", '"[",', '{"a":{"b":[]}},', "true,", '[""],',
    "-0.0,", "1E400,", '"\\"",', " ",
)  # fmt: skip
TAILS = ("", "]", "}", "]}", "}}", "]}}", '"}', '"]}', '"', "1]", "1]}", ",1]}")
LINES = ("x¦", "¦", "1¦", "[]¦", "{¦", '"¦', "[" * 40 + "¦", '{"a":~}¦', "\r¦", " ¦")
QUERIES = (
    "&",
    "a=b&",
    "channel=a&",
    "channel=json.~&",
    "%41=1&",
    "since=1&",
    "~@latest,",
    "%f0%9f%98%80",
    "+",
    "=",
    "json.a@a-1,",
    "member=a&",
)
STREAMS = (
    "channel=json.a&since=", "channel=json.a¦", "channel=json.a&channel=chat.a¦", "since=",
    "channel=json.a&member=", "channel=json.a&lastEventId=",
)  # fmt: skip
PAGES = (
    "json.a?", "json.a?since=", "json.a?since=-", "json.a?limit=", "json.a?limit=1000&since=",
    "json.a?since=-1000&limit=1000", "json.a?limit=1000", "json.a?since=latest&limit=1000&",
    "json.a?limit=1000&since=a-", "json.a?since=2026-", "json.", "%6a", "json.a/presence?", "",
)  # fmt: skip
PAGE_ITEMS = (
    "", "&", "=", "a=b&", "%41=1&", "since=1&", "limit=1&", "0", "9", "-1", "10m", "%20", "+",
    "%f0%9f%98%80", "%", "a.", "/", "~", "@", "%2f", "%00", ";", "x~=1&", "json.a@a-1,",
)  # fmt: skip
SELECTORS = (
    "", "subject=", "subject=a&", "key=", "token=", "address=", "address=::", "address=1:",
    "limit=", "limit=1000", "limit=1000&", "subject=a&key=", "address=%5B",
)  # fmt: skip
SELECTOR_ITEMS = (
    "", "&", "=", "a=b&", "%41=1&", "x~=1&", "subject=a&", "limit=1&", "0", "1", ":", "1:", "0:",
    "a", "%20", "+", "%f0%9f%98%80", "%", ".", "/", "%00", "%", ";",
)  # fmt: skip
JOIN = '{"type":"subscribe","channel":"json.'
COMMANDS = (
    JOIN + 'a","presence":true}¦',
    JOIN + 'a","presence":true,"member":"m~"}¦',
    JOIN + 'a","member":"\\u0001~"}¦{"type":"unsubscribe","channel":"json.a"}¦',
    JOIN + 'a","presence":true,"member":"~"}¦{"type":"unsubscribe","channel":"json.a"}¦',
    JOIN + 'a","presence":true}¦{"type":"unsubscribe","channel":"json.a"}¦',
    JOIN + '~","member":"a"}¦',
    JOIN + '~","since":"-1"}¦',
    JOIN + '~","presence":true,"member":"é~"}¦',
    '{"type":"unsubscribe","channel":"json.~"}¦',
    '{"type":"subscribe"}¦',
    '{"type":"auth","token":"~"}¦',
    '{"type":"ping"}¦',
    '{"type":"x~"}¦',
    "{}¦",
    "1¦",
    "¦",
)
PATTERNS = ("*.", "a.", "*.*.a,", "a.*.>,", "a,", "*,", ">,")


def ingredients(entrance: str) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """The heads, items and tails to start with."""
    match entrance:
        case "message" | "packed":
            return MESSAGES, ITEMS, TAILS
        case "stream":
            return ("", "¦", "1¦"), LINES + ITEMS, TAILS
        case "query":
            return ("", "channel=json.a&since=", "since=", "member="), QUERIES, ("", "1", "@", "=")
        case "event stream":
            return (
                STREAMS,
                (*QUERIES, "json.~@a-1,", "lastEventId=1&", "last-event_id=a@1&"),
                ("", "1", "¦1", "¦json.a@a-1", "¦-1"),
            )
        case "commands":
            return ("", *COMMANDS[:3]), COMMANDS, ("", "}")
        case "history":
            return PAGES, PAGE_ITEMS, ("", "1", "&limit=1000", "&since=-1")
        case "operators' connections" | "operators' blocks":
            return SELECTORS, SELECTOR_ITEMS, ("", "1", "&limit=1000", "=")
        case "operator" | "operators' bodies":
            return (
                ("{", '{"subject":"', '{"for":"', '{"key":"a","for":', "[", '{"subject":["'),
                ITEMS,
                TAILS,
            )
        case "token in an address":
            return (
                ("access_token=", "a=1&access_token=", "access_token=a&", "access_token=eyJ9."),
                QUERIES,
                ("", "&access_token="),
            )
        case "token in a header":
            heads = "Bearer ", "eventhub.v1,", "eventhub.bearer.", "Bearer eyJ9."
            return heads, (*QUERIES, "eventhub.bearer.a,", ",", ".", " "), ("", ".")
        case "claims":
            return ("",), PATTERNS, ("", "a", ">")
        case "credential":
            return ('{"a":[', "{", '{"kid":"', "[", '{"alg":"HS256","x":'), ITEMS, TAILS
        case _:
            return JSON_HEADS, ITEMS, TAILS


def recipes(entrance: str, dice: random.Random, best: list[Recipe]) -> Iterator[Recipe]:
    """The recipes to try: each pair of a head and an item with the tail that closes it, then
    variations of the most expensive.
    """
    heads, items, tails = ingredients(entrance)
    for head in heads:
        for item in items:
            yield Recipe(head, item, closing(head))
    while True:
        head, item, tail = (
            dice.choice(best) if best else Recipe(dice.choice(heads), dice.choice(items), "")
        )
        match dice.randrange(6):
            case 0:
                item += dice.choice(items)
            case 1:
                head = dice.choice(heads)
                tail = closing(head)
            case 2:
                tail = dice.choice(tails)
            case 3:
                at = dice.randint(0, len(item))
                item = item[:at] + dice.choice(items) + item[at:]
            case 4:
                item = f"[{item.rstrip(',')}],"
            case _:
                head += dice.choice(items)
        yield Recipe(head[:200], item[:200], tail)


def closing(head: str) -> str:
    """The brackets and the quote that a head leaves open."""
    quote = '"' if head.count('"') % 2 else ""
    closers = {"[": "]", "{": "}"}
    return quote + "".join(closers[c] for c in reversed(head) if c in closers)


def seconds(act: Callable[[bytes], None], data: bytes, rounds: int = 3) -> float:
    """The CPU time of the fastest of some rounds."""
    best = float("inf")
    for _ in range(rounds):
        begin = thread_time()
        with suppress(EventHubError):
            act(data)
        best = min(best, thread_time() - begin)
        if best > PATIENCE:
            break
    return best


def harmless_seconds(entrance: str, size: int, frames: int, rounds: int) -> float:
    """The CPU time of a harmless input of this many bytes, or for commands of this many frames."""
    if entrance in REQUESTS:
        beside = seconds(dear_requests.publish, RECORD_BODY.made(size), rounds)
        return max(beside, seconds(REQUESTS[entrance], RECORD_BODY.made(size), rounds))
    harmless, records = ITEMIZED.get(entrance, (message, RECORDS))
    beside = seconds(harmless, records.made(size), rounds)
    if entrance == "commands":  # small messages are charged by their number of frames
        beside = max(beside, seconds(commands, PING * frames, rounds))
    return beside


def ratio(entrance: str, recipe: Recipe, rounds: int = 3) -> float:
    """How many times the CPU time of a harmless input of its size an input takes."""
    act, size = ENTRANCES[entrance]
    data = recipe.made(size)[:size]
    beside = harmless_seconds(entrance, len(data), data.count("¦".encode()), rounds)
    return seconds(act, data, rounds) / beside


class Scales:
    """The ratios of a search. Harmless inputs of nearly the same size are measured once."""

    def __init__(self, entrance: str) -> None:
        self._entrance = entrance
        self._beside: dict[tuple[int, int], float] = {}

    def weigh(self, recipe: Recipe, rounds: int) -> float:
        """How many times the CPU time of a harmless input of about its size an input takes."""
        act, size = ENTRANCES[self._entrance]
        data = recipe.made(size)[:size]
        frames = data.count("¦".encode()) if self._entrance == "commands" else 0
        known = _rounded(len(data)), _rounded(frames)
        if known not in self._beside:
            self._beside[known] = harmless_seconds(self._entrance, *known, 3)
        return seconds(act, data, rounds) / self._beside[known]


def _rounded(count: int) -> int:
    """Rounded to its four leading bits."""
    cut = max(0, count.bit_length() - 4)
    return count >> cut << cut


def search(
    entrance: str, lasting: float, known: list[Recipe]
) -> tuple[int, list[tuple[float, Recipe]]]:
    """The most expensive inputs found in this many seconds, and how many were tried."""
    dice = random.Random(entrance)
    scales = Scales(entrance)
    found = {recipe: scales.weigh(recipe, 1) for recipe in known}
    best, tried, end = list(found), 0, monotonic() + lasting
    for recipe in recipes(entrance, dice, best):
        if monotonic() > end:
            break
        tried += 1
        if recipe in found:
            continue
        cost = scales.weigh(recipe, 1)
        if len(best) < 3 * KEPT or cost > min(map(found.__getitem__, best)):
            found[recipe] = min(cost, scales.weigh(recipe, 2))
            best.append(recipe)
            best.sort(key=found.__getitem__, reverse=True)
            del best[3 * KEPT :]
    measured = sorted(((ratio(entrance, recipe, 5), recipe) for recipe in best), reverse=True)
    return tried, measured[:KEPT]


def corpus() -> dict[str, list[Recipe]]:
    """The most expensive known inputs, by entrance."""
    return (
        {
            name: [Recipe(*each) for each in kept]
            for name, kept in json.loads(FILE.read_text(encoding="utf-8")).items()
        }
        if FILE.exists()
        else {}
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "entrances",
        nargs="*",
        default=list(ENTRANCES),
        metavar="ENTRANCE",
        help=", ".join(ENTRANCES),
    )
    parser.add_argument("--seconds", type=float, default=60, help="for each entrance")
    parser.add_argument("--keep", action="store_true", help="write the dearest down")
    asked = parser.parse_args()
    logging.disable()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    gc.freeze()
    gc.set_threshold(GARBAGE)  # as the server has it
    kept = corpus()
    print(  # noqa: T201
        "| entrance | tried | dearest, to a harmless input | what it repeats |\n|---|---|---|---|"
    )
    for name in asked.entrances:
        tried, found = search(name, asked.seconds, kept.get(name, []))
        kept[name] = [recipe for _, recipe in found]
        times, recipe = found[0]
        shown = f"{recipe.head} {recipe.item} {recipe.tail}"[:90].replace("|", "¦")
        print(f"| {name} | {tried:,} | {times:.1f} | `{shown}` |", flush=True)  # noqa: T201
        if asked.keep:
            FILE.write_text(
                json.dumps(
                    {
                        name: [list(each) for each in kept[name]]
                        for name in ENTRANCES
                        if name in kept
                    },
                    indent=1,
                )
                + "\n",
                "utf-8",
            )


if __name__ == "__main__":
    main()
