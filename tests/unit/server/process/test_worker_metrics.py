"""server/process/worker_metrics.py: a scrape of one worker asks the others, and does not wait for
those that do not answer.
"""

import asyncio
import select
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from eventhub.observability.metrics import Metrics
from eventhub.server.process import worker_metrics
from eventhub.server.process.worker_metrics import WorkerMetrics, WorkerSocket
from tests.harness.eventually import in_turns


@pytest.fixture
def mailboxes() -> Iterator[list[WorkerSocket]]:
    """Three."""
    boxes = [WorkerSocket.open() for _ in range(3)]
    yield boxes
    for box in boxes:
        box.put.close()
        box.take.close()


def metrics(published: int, types: int = 1) -> Metrics:
    one = Metrics(["chat", *(f"type{number}" for number in range(1, types))])
    one.published("chat", published)
    return one


def scraped(text: bytes) -> dict[tuple[str, str | None], float]:
    """Published and unreachable, by worker."""
    return {
        (family.name, sample.labels.get("worker")): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if family.name == "eventhub_workers_unreachable"
        or (family.name, sample.labels.get("type")) == ("eventhub_events_published", "chat")
    }


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is there answers, on however busy a machine."""
    monkeypatch.setattr(worker_metrics, "ANSWER_SECONDS", 30.0)


def run(
    mailboxes: list[WorkerSocket],
    test: Callable[[WorkerMetrics], Awaitable[Any]],
    answering: dict[int, Metrics],
) -> None:
    """`test` with worker 0, while others answer."""

    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            work = [
                tasks.create_task(WorkerMetrics(number, mailboxes, own).run())
                for number, own in answering.items()
            ]
            await test(WorkerMetrics(0, mailboxes, metrics(1)))
            for task in work:
                task.cancel()

    asyncio.run(main())


def test_the_series_of_all_are_there_with_their_numbers(mailboxes: list[WorkerSocket]) -> None:
    async def test(first: WorkerMetrics) -> None:
        for _ in range(3):
            assert scraped(await first.scrape()) == {
                ("eventhub_events_published", "0"): 1,
                ("eventhub_events_published", "1"): 5,
                ("eventhub_events_published", "2"): 7,
                ("eventhub_workers_unreachable", None): 0,
            }

    run(mailboxes, test, {1: metrics(5), 2: metrics(7)})


def test_an_answer_larger_than_what_a_socket_holds_comes_whole(
    mailboxes: list[WorkerSocket],
) -> None:
    async def test(first: WorkerMetrics) -> None:
        assert scraped(await first.scrape())["eventhub_workers_unreachable", None] == 0

    run(mailboxes, test, {1: metrics(5, types=200), 2: metrics(7)})


def test_the_next_scrape_has_the_figures_of_its_own_time(mailboxes: list[WorkerSocket]) -> None:
    second = metrics(2)

    async def test(first: WorkerMetrics) -> None:
        before = scraped(await first.scrape())
        second.published("chat", 5)
        after = scraped(await first.scrape())
        name = ("eventhub_events_published", "1")
        assert (before[name], after[name]) == (2, 7)

    run(mailboxes[:2], test, {1: second})


def test_a_worker_that_has_ended_leaves_its_mailbox(mailboxes: list[WorkerSocket]) -> None:
    async def main() -> None:
        answering = asyncio.create_task(WorkerMetrics(0, mailboxes, metrics(1)).run())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)
        assert not asyncio.get_running_loop().remove_reader(mailboxes[0].take)

    asyncio.run(main())


def test_nobody_waits_for_a_mailbox(mailboxes: list[WorkerSocket]) -> None:
    for box in mailboxes:
        assert (box.put.gettimeout(), box.take.gettimeout()) == (0, 0)


def test_a_crowd_of_scrapers_is_one_question_to_each(mailboxes: list[WorkerSocket]) -> None:
    async def test(first: WorkerMetrics) -> None:
        answers = await asyncio.gather(*(first.scrape() for _ in range(100)))
        assert len(set(answers)) == 1
        assert scraped(answers[0])["eventhub_workers_unreachable", None] == 0
        assert scraped(await first.scrape())["eventhub_events_published", "2"] == 7, (
            "and the next is a new one"
        )

    run(mailboxes, test, {1: metrics(5), 2: metrics(7)})


def test_whoever_scrapes_and_goes_takes_nobody_elses_answer(mailboxes: list[WorkerSocket]) -> None:
    async def test(first: WorkerMetrics) -> None:
        gone, stays = asyncio.create_task(first.scrape()), asyncio.create_task(first.scrape())
        await asyncio.sleep(0)
        gone.cancel()
        assert scraped(await stays)["eventhub_workers_unreachable", None] == 0

    run(mailboxes, test, {1: metrics(5), 2: metrics(7)})


def test_one_that_does_not_answer_is_left_out_and_counted(
    mailboxes: list[WorkerSocket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_metrics, "ANSWER_SECONDS", 1)

    async def test(first: WorkerMetrics) -> None:
        begin = time.monotonic()
        found = scraped(await first.scrape())
        assert time.monotonic() - begin < 5
        assert found == {
            ("eventhub_events_published", "0"): 1,
            ("eventhub_events_published", "2"): 7,
            ("eventhub_workers_unreachable", None): 1,
        }

    run(mailboxes, test, {2: metrics(7)})


def test_a_full_mailbox_is_not_waited_for(mailboxes: list[WorkerSocket]) -> None:
    with suppress(BlockingIOError):
        while mailboxes[1].put.send(b"?"):
            pass

    async def test(first: WorkerMetrics) -> None:
        begin = time.monotonic()
        assert scraped(await first.scrape())["eventhub_workers_unreachable", None] == 1
        assert time.monotonic() - begin < worker_metrics.ANSWER_SECONDS

    run(mailboxes, test, {2: metrics(7)})


def test_one_that_ends_in_the_middle_of_its_answer_is_left_out(
    mailboxes: list[WorkerSocket],
) -> None:
    async def test(first: WorkerMetrics) -> None:
        scrape = asyncio.create_task(first.scrape())
        await in_turns("a question", lambda: select.select([mailboxes[1].take], [], [], 0)[0])
        (fd,) = socket.recv_fds(mailboxes[1].take, 1, 1)[1]
        with socket.socket(fileno=fd) as answer:
            answer.send(b'[["eventhub_events_pub')
        assert scraped(await scrape)["eventhub_workers_unreachable", None] == 1

    run(mailboxes, test, {2: metrics(7)})


def test_questions_whose_asker_has_gone_are_no_matter(mailboxes: list[WorkerSocket]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        socket.send_fds(mailboxes[1].put, [b"?"], [theirs.fileno()])

    async def test(first: WorkerMetrics) -> None:
        assert scraped(await first.scrape())["eventhub_workers_unreachable", None] == 0

    run(mailboxes, test, {1: metrics(5), 2: metrics(7)})
