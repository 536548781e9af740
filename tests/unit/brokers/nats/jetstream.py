"""As much of JetStream as the broker uses, in memory. No I/O: requests in, answers out."""

import base64
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Headers = Mapping[str, str]
Emit = Callable[[str, Headers, bytes], object]
"""Publishes to the subscribers of a subject."""


class Refused(Exception):
    """An error of the API."""

    def __init__(self, err_code: int, description: str, code: int = 400) -> None:
        super().__init__(description)
        self.answer = {"error": {"code": code, "err_code": err_code, "description": description}}


@dataclass
class Stored:
    """A message of a stream."""

    sequence: int
    subject: str
    headers: Headers
    data: bytes


@dataclass
class Stream:
    """A stream. `leader` is named in its state, and `lag` messages are missing to its readers."""

    config: dict[str, Any]
    created: str
    messages: list[Stored] = field(default_factory=list)
    last: int = 0
    first: int = 1
    leader: str = "n0"
    lag: int = 0
    ids: dict[str, int] = field(default_factory=dict)
    consumers: dict[str, Iterator[Stored]] = field(default_factory=dict)

    def takes(self, subject: str) -> bool:
        return any(matches(pattern, subject) for pattern in self.config["subjects"])

    def of(self, pattern: str) -> list[Stored]:
        return [stored for stored in self.messages if matches(pattern, stored.subject)]

    def remove(self, gone: Callable[[Stored], bool]) -> None:
        """Lose messages, as by age or size."""
        self.messages = [stored for stored in self.messages if not gone(stored)]
        self.first = self.messages[0].sequence if self.messages else self.last + 1

    @property
    def info(self) -> dict[str, Any]:
        state = {"first_seq": self.first, "last_seq": self.last, "messages": len(self.messages)}
        return {
            "config": self.config,
            "created": self.created,
            "state": state,
            "cluster": {"leader": self.leader},
        }


class FakeJetStream:
    """Streams by name. `emit` is called with what streams republish."""

    def __init__(self, emit: Emit) -> None:
        self.streams: dict[str, Stream] = {}
        self._emit = emit
        self._created = itertools.count(1)

    def stream(self, part: str) -> Stream:
        """The one stream whose name has this part."""
        (found,) = (stream for name, stream in self.streams.items() if part in name)
        return found

    def taking(self, subject: str) -> Stream | None:
        """The stream that stores a subject."""
        return next((stream for stream in self.streams.values() if stream.takes(subject)), None)

    def store(self, stream: Stream, subject: str, headers: Headers, data: bytes) -> dict[str, Any]:
        """Store a message. Returns the acknowledgement, or the refusal."""
        name = stream.config["name"]
        if headers.get("Nats-Expected-Stream", name) != name:
            return Refused(10060, "expected stream does not match").answer
        if (known := stream.ids.get(headers.get("Nats-Msg-Id", ""))) is not None:
            return {"stream": name, "seq": known, "duplicate": True}
        before = stream.of(subject)
        last = before[-1].sequence if before else 0
        expected = headers.get("Nats-Expected-Last-Subject-Sequence")
        if expected is not None and int(expected) != last:
            return Refused(10071, f"wrong last sequence: {last}").answer
        stream.last += 1
        stream.messages.append(Stored(stream.last, subject, headers, data))
        if "Nats-Msg-Id" in headers:
            stream.ids[headers["Nats-Msg-Id"]] = stream.last
        kept = stream.config.get("max_msgs_per_subject", -1)
        for old in before[: max(0, len(before) + 1 - kept)] if kept > 0 else ():
            stream.messages.remove(old)
        stream.first = stream.messages[0].sequence
        self._republish(stream, subject, headers, data, last)
        return {"stream": name, "seq": stream.last}

    def api(self, subject: str, body: bytes) -> dict[str, Any]:
        """The answer to a request; `subject` without `$JS.API.`."""
        asked = json.loads(body) if body else {}
        try:
            match subject.split("."):
                case ["INFO"]:
                    return {"streams": len(self.streams)}
                case ["STREAM", "NAMES"]:
                    return self._names(asked["subject"])
                case ["STREAM", "CREATE", name]:
                    return self._create(name, asked)
                case ["STREAM", "UPDATE", name]:
                    self._stream(name).config = asked
                    return self._stream(name).info
                case ["STREAM", "DELETE", name]:
                    self._stream(name)
                    del self.streams[name]
                    return {"success": True}
                case ["STREAM", "INFO", name]:
                    return self._stream(name).info
                case ["STREAM", "MSG", "GET", name]:
                    return self._message(self._stream(name), asked)
                case ["CONSUMER", "CREATE", name, consumer, *_]:
                    return self._consumer(self._stream(name), consumer, asked["config"])
                case ["CONSUMER", "DELETE", name, consumer]:
                    del self._stream(name).consumers[consumer]
                    return {"success": True}
        except Refused as refused:
            return refused.answer
        raise AssertionError(subject)

    def pull(self, subject: str, body: bytes) -> Iterator[tuple[str, str, Headers, bytes]]:
        """Subject, reply, headers and data of each message for `CONSUMER.MSG.NEXT`."""
        *_, name, consumer = subject.split(".")
        asked, size = json.loads(body), 0
        messages = self._stream(name).consumers[consumer]
        for number in range(asked["batch"] or 1):
            if (stored := next(messages, None)) is None:
                return
            size += len(stored.data)
            if size > asked.get("max_bytes", size):
                kept = self._stream(name).consumers
                kept[consumer] = itertools.chain((stored,), messages)
                yield "", "", {"Status": "409"}, b""
                return
            reply = f"$JS.ACK.{name}.{consumer}.1.{stored.sequence}.{number + 1}.0.0"
            yield stored.subject, reply, stored.headers, stored.data

    # Private

    def _stream(self, name: str) -> Stream:
        if (found := self.streams.get(name)) is None:
            raise Refused(10059, "stream not found", 404)
        return found

    def _names(self, subject: str) -> dict[str, Any]:
        names = [name for name, stream in self.streams.items() if stream.takes(subject)]
        return {"streams": names or None}

    def _create(self, name: str, config: dict[str, Any]) -> dict[str, Any]:
        if any(self.taking(subject) for subject in config["subjects"]):
            raise Refused(10065, "subjects overlap with an existing stream")
        self.streams[name] = Stream(config, f"2026-01-01T00:00:{next(self._created):02d}Z")
        return self.streams[name].info

    def _message(self, stream: Stream, asked: Mapping[str, Any]) -> dict[str, Any]:
        if "last_by_subj" in asked:
            found = stream.of(asked["last_by_subj"])[-1:]
        else:
            after = stream.of(asked["next_by_subj"])
            found = [stored for stored in after if stored.sequence >= asked["seq"]][:1]
        if not found:
            raise Refused(10037, "no message found", 404)
        head = "NATS/1.0\r\n" + "".join(f"{k}: {v}\r\n" for k, v in found[0].headers.items())
        return {
            "message": {
                "subject": found[0].subject,
                "seq": found[0].sequence,
                "hdrs": base64.b64encode(head.encode()).decode(),
                "data": base64.b64encode(found[0].data).decode(),
            }
        }

    def _consumer(self, stream: Stream, name: str, config: Mapping[str, Any]) -> dict[str, Any]:
        begin, seen = config["opt_start_seq"], stream.last - stream.lag
        found = [one for one in stream.of(config["filter_subject"]) if one.sequence >= begin]
        stream.consumers[name] = iter(found)
        return {
            "name": name,
            "delivered": {"stream_seq": min(begin - 1, seen)},
            "num_pending": len(found),
        }

    def _republish(
        self, stream: Stream, subject: str, headers: Headers, data: bytes, last: int
    ) -> None:
        if (rule := stream.config.get("republish")) is None:
            return
        source, target = (rule[end].removesuffix(">") for end in ("src", "dest"))
        added = {
            "Nats-Stream": stream.config["name"],
            "Nats-Subject": subject,
            "Nats-Sequence": str(stream.last),
            "Nats-Last-Sequence": str(last),
        }
        self._emit(target + subject.removeprefix(source), {**headers, **added}, data)


def matches(pattern: str, subject: str) -> bool:
    """Whether a subject fits a pattern with `*` and `>`."""
    expression = re.escape(pattern).replace(r"\*", "[^.]+").replace(">", ".+")
    return re.fullmatch(expression, subject) is not None
