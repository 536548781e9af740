"""The code that `eventhub schema export` writes, with the generators of others, is used here."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventhub.events.schema import DIALECT
from tests.conformance.javascript_types import CLIENT, TOOLS
from tests.harness.eventhub import EventHubServer

CONFIG = """
channels:
  trades: {payload: "exported_trades:Trade", publish: [client, producer]}
  chat: {payload: chat}
"""
MODEL = """
from decimal import Decimal
from pydantic import BaseModel

class Line(BaseModel):
    sku: str
    price: Decimal

class Trade(BaseModel):
    lines: list[Line]
    venue: str = "X"
"""
PYTHON_USE = """
import sys
from models import Events, Trades, TradesInput
from eventhub_client.sync import Hub

with Hub(sys.argv[1]) as hub:
    hub.publish("trades.eu", TradesInput(lines=[{"sku": "a", "price": 1.5}]))
    event = next(hub.follow("trades.eu", since="earliest", model=Trades.model_validate))
    assert isinstance(event.data, Trades)
    print(event.data.lines[0].price, event.data.venue, event.schema, sorted(Events.model_fields))
"""
TYPESCRIPT_USE = """
import { EventHub } from "@eventhub/client";
import type { Events, Trades, TradesInput } from "./events";

const hub = new EventHub("https://hub.example");
const sent: TradesInput = { lines: [{ sku: "a", price: 1.5 }] };
void hub.publish("trades.eu", sent);
hub.subscribe<Events["trades"]>("trades.eu", {
  onEvent: (event) => {
    const price: string | undefined = event.data.lines[0]?.price;
    const version: number | undefined = event.schema;
    void [price, version];
  },
});
// @ts-expect-error decimals are stored as text
const stored: Trades = { lines: [{ sku: "a", price: 1.5 }] };
// @ts-expect-error a line has a price
const wrong: TradesInput = { lines: [{ sku: "a" }] };
void [stored, wrong];
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventHubServer]:
    directory = tmp_path_factory.mktemp("server")
    (directory / "exported_trades.py").write_text(MODEL)
    with EventHubServer(directory, CONFIG) as found:
        yield found


def exported(server: EventHubServer, option: str) -> str:
    """What the command prints for the types of the server."""
    generators = f"{Path(sys.executable).parent}{os.pathsep}{TOOLS}{os.pathsep}{os.environ['PATH']}"
    command = [sys.executable, "-m", "eventhub", "schema", "export", option, "--server", server.url]
    return ran(command, Path(), PATH=generators)


def ran(command: list[str], cwd: Path, **variables: str) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_python_models_are_sent_and_read_with_the_client(
    server: EventHubServer, tmp_path: Path
) -> None:
    (tmp_path / "models.py").write_text(exported(server, "--python"))
    (tmp_path / "use.py").write_text(PYTHON_USE)
    said = ran([sys.executable, "use.py", server.url], tmp_path)
    assert said == "1.5 X 1 ['chat', 'trades']\n"


def test_typescript_interfaces_compile_with_the_client(
    server: EventHubServer, tmp_path: Path
) -> None:
    (tmp_path / "events.ts").write_text(exported(server, "--typescript"))
    (tmp_path / "use.ts").write_text(TYPESCRIPT_USE)
    (tmp_path / "node_modules" / "@eventhub").mkdir(parents=True)
    (tmp_path / "node_modules" / "@eventhub" / "client").symlink_to(CLIENT)
    options = "--strict --noEmit --skipLibCheck --noUncheckedIndexedAccess --target es2022"
    where = "--module esnext --moduleResolution bundler --lib es2022,dom use.ts"
    ran([str(TOOLS / "tsc"), *options.split(), *where.split()], tmp_path)


def test_the_json_schema_names_the_dialect(server: EventHubServer) -> None:
    assert f'"$schema": "{DIALECT}"' in exported(server, "--json-schema")
