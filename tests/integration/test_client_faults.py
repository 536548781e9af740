"""The Python client, with and without an event loop, through faults between it and its server: no
acknowledged event is lost, comes twice or out of order. `make client-proof` is the long form, with
all faults.
"""

import asyncio
import json
from pathlib import Path

import pytest

from tests.integration.client_books import Books
from tests.integration.client_faults import Fault, Scene, endure
from tests.integration.client_trial import Trial

SHORT: list[Fault] = [Scene.kill, Scene.half_close, Scene.bad_gateway, Scene.kill_client]


@pytest.mark.timeout(900)  # the machine may be busy
def test_each_acknowledged_event_reaches_each_follower_once_through_faults(
    tmp_path: Path,
) -> None:
    books = asyncio.run(endure(tmp_path, SHORT, rounds=1))
    assert books.clean, books
    assert (books.followers, books.faults) == (5, len(SHORT))


def test_the_accounts_find_what_is_lost_doubled_and_out_of_order(tmp_path: Path) -> None:
    trial = Trial("http://nowhere", tmp_path, "key")
    sent = [("orders.eu", f"one {number}") for number in range(4)]
    trial.ledger.acknowledged |= set(sent)
    lines = [json.dumps(each) for each in [*sent, sent[-1]]]
    (tmp_path / "worker.out").write_text("\n".join(lines) + "\n")
    trial.ledger.seen["follower"] = [sent[0], sent[2], sent[1], sent[2]]
    assert trial.books() == Books(4, 0, 2, gaps=0, lost=1, doubled=2, disorder=1)
    trial.kills = 1  # of the worker, whose last event may come again
    assert trial.books().doubled == 1
