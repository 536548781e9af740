"""What the pages show on pictures: a team that talks, a shop's logs, the climate of a hall."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from eventhub.auth.keys import hash_key
from tests.harness.clients import http
from tests.harness.eventhub import EventHubServer

OPERATOR = "ehk_operator-0123456789"
CONFIG = f"""
auth:
  keys:
    - name: boss
      hash: "{hash_key(OPERATOR)}"
      operator: true
      subscribe: ['>']
      publish: ['>']
      moderate: ['>']
channels:
  chat:
    payload: chat
    presence: true
    publish: [client, producer]
    anonymous: [subscribe, publish, presence]
  logs: {{payload: log, anonymous: [subscribe, publish]}}
  iot: {{payload: reading, slow: latest, anonymous: [subscribe, publish]}}
"""


@dataclass(frozen=True, slots=True)
class Span:
    """How many events a channel has, and over how many seconds they shall be spread."""

    events: int
    seconds: float


LINES, READINGS = 260, 240
SPANS = {
    **{f"logs.shop.{name}": Span(LINES, 3300) for name in ("api", "web", "payments")},
    **{f"iot.hall.{name}": Span(READINGS, 3500) for name in ("north", "south", "air", "power")},
    "chat.team": Span(11, 1500),
}
TALK: list[dict[str, Any]] = [
    {"sender": "rui", "text": "Morning! Is the new greenhouse controller live?"},
    {"sender": "ana", "text": "Since 8:40. **No gap** in the readings so far."},
    {"sender": "ana", "text": "Live charts: http://localhost:8000/iot/iot.hall.*"},
    {"sender": "mei", "text": "Nice. The north sensor looks a bit warm, @rui"},
    {"sender": "rui", "text": "It hangs in the sun until ten. I set `limits=Cel:18:24`"},
    {"sender": "deploy-bot", "text": "shop-api 2.14.1 is on all three nodes, no reader was cut"},
    {"sender": "mei", "text": "@ana can you look at the payments log? Two were declined"},
    {"sender": "ana", "text": "On it. It is the test card again."},
]
ABOUT = (
    (2, "reaction", {"sender": "mei", "text": "+1"}),
    (6, "reaction", {"sender": "rui", "text": "thanks!"}),
    (5, "edit", {"sender": "rui", "text": "It hangs in the sun until ten. I set `Cel:18:24`"}),
)
SAID = {
    "api": ["GET /v1/orders", "POST /v1/orders", "GET /v1/products", "PATCH /v1/basket"],
    "web": ["page served", "session renewed", "search finished", "asset cached"],
    "payments": ["payment authorised", "payment captured", "refund booked", "3-D Secure passed"],
}
WRONG = {
    "api": ("error", "upstream timed out after 5 s"),
    "web": ("warning", "slow search: 1,840 ms"),
    "payments": ("warning", "payment declined by the issuer"),
}


def fill(server: EventHubServer) -> None:
    """Publish everything."""
    chance = random.Random(7)
    for name in SAID:
        _post(server, f"logs.shop.{name}", list(_lines(name, chance)))
    for name, base, unit in (
        ("north", 23.2, "Cel"), ("south", 20.4, "Cel"), ("air", 61, "%"), ("power", 3.4, "kW")
    ):  # fmt: skip
        _post(server, f"iot.hall.{name}", list(_readings(base, unit, chance)))
    _post(server, "chat.team", TALK)
    _post(server, "chat.lobby", TALK[:2])
    found = http.get(f"{server.url}/v1/channels/chat.team").json()["events"]
    for number, relation, data in ABOUT:
        target = {"refers": found[number - 1]["id"], "relation": relation}
        headers = {"Authorization": f"Bearer {OPERATOR}"} if relation == "edit" else {}
        url = f"{server.url}/v1/channels/chat.team"
        answer = http.post(url, json=data, params=target, headers=headers)
        answer.raise_for_status()


def _lines(name: str, chance: random.Random) -> Iterator[dict[str, Any]]:
    for number in range(LINES):
        wrong = chance.random() < (0.5 if 150 < number < 165 else 0.04)
        level, message = WRONG[name] if wrong else ("info", chance.choice(SAID[name]))
        if not wrong and chance.random() < 0.15:
            level = "debug"
        fields = {
            "ms": int(chance.expovariate(1 / 40)) + 3,
            "status": 504 if level == "error" else 200,
            "order": f"o-{chance.randrange(10_000):04}",
        }
        yield {"level": level, "message": message, "logger": f"shop.{name}", "fields": fields}


def _readings(base: float, unit: str, chance: random.Random) -> Iterator[dict[str, Any]]:
    for number in range(READINGS):
        wave = math.sin(number / 38 + base) + 0.3 * math.sin(number / 7)
        value = round(base * (1 + 0.05 * wave) + chance.gauss(0, base / 250), 2)
        quality = "uncertain" if chance.random() < 0.01 else "good"
        yield {"value": value, "unit": unit, "quality": quality}


def _post(server: EventHubServer, channel: str, events: list[dict[str, Any]]) -> None:
    answer = http.post(f"{server.url}/v1/channels/{channel}", json=events)
    answer.raise_for_status()
