"""SenML packs (RFC 8428): base fields are resolved, so that each record stands by itself."""

from math import isfinite
from typing import Any

from eventhub.errors import InvalidEvent

MEDIA_TYPE = b"application/senml+json"
VERSION = 10
RELATIVE = 2**28
"""Times below it are relative to now (4.5.3)."""
BASES = ("bn", "bt", "bu", "bv", "bs", "bver")
FIELDS = ("n", "u", "v", "vs", "vb", "vd", "s", "t", "ut")


class SenmlPack:
    """The base fields of one pack. `now` is in seconds since 1970."""

    def __init__(self, now: float) -> None:
        self._now = now
        self._bases: dict[str, Any] = {}
        self._count = 0

    def resolved(self, record: Any) -> dict[str, Any]:
        """The next record without base fields and with an absolute time. Raises InvalidEvent."""
        self._count += 1
        if not isinstance(record, dict):
            raise self._fault("is no JSON object")
        for name, value in record.items():
            if name in BASES:
                self._take(name, value)
            elif name not in FIELDS and name.endswith("_"):
                raise self._fault(f"has {name[:40]!r}, which must be understood (4.4)")
        found = {name: record[name] for name in FIELDS if name in record}
        found["n"] = f"{self._bases.get('bn', '')}{self._text(found.get('n', ''))}"
        if "u" not in found and "bu" in self._bases:
            found["u"] = self._bases["bu"]
        for name, base in (("v", "bv"), ("s", "bs")):
            if base in self._bases and (name in found or not found.keys() & {"vs", "vb", "vd"}):
                found[name] = self._sum(found.get(name, 0), self._bases[base])
        time = self._sum(found.get("t", 0), self._bases.get("bt", 0))
        found["t"] = time if time >= RELATIVE else self._now + time
        if self._bases.get("bver", VERSION) != VERSION:
            found["bver"] = self._bases["bver"]
        return found

    def _take(self, name: str, value: Any) -> None:
        if name in ("bn", "bu"):
            self._bases[name] = self._text(value)
            return
        number = self._number(value)
        if name == "bver":
            if number > VERSION or number < 1 or number != int(number):
                raise self._fault(f"has the version {value!r}; expected at most {VERSION}")
            if self._bases.get(name, number) != number:
                raise self._fault("has another version than the records before it")
        self._bases[name] = number

    def _number(self, value: Any) -> float | int:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._fault("has a base or a value that is no number")
        return value

    def _sum(self, value: Any, base: float | int) -> float | int:
        total = self._number(value) + base
        if not isfinite(total):
            raise self._fault("has a value or a time that is too large with its base")
        return total

    def _text(self, value: Any) -> str:
        if not isinstance(value, str):
            raise self._fault("has a name or a unit that is no string")
        return value

    def _fault(self, why: str) -> InvalidEvent:
        return InvalidEvent(
            f"record {self._count} of the SenML pack {why}; expected RFC 8428",
            [{"pointer": f"/{self._count - 1}", "message": why}],
        )
