"""eventhub_client/cli/bench.py: what a run says of itself."""

from eventhub_client.cli.bench import Load, _Run
from eventhub_client.cli.target import Target


def test_rates_are_those_of_the_time_that_has_passed_and_not_of_the_time_that_was_asked_for() -> (
    None
):
    run = _Run(Target("http://127.0.0.1:1"), Load("a.b", 1, 1, 100.0, 60.0, 0, "${mark}"))
    run.count.received, run.seconds, run.cpu_seconds = 30, 2.0, 0.5
    row = run.result(lost=3)
    assert (row["deliveries_per_second"], row["own_core"], row["lost"]) == (15.0, 0.25, 3)


def test_a_run_that_has_not_begun_has_a_row() -> None:
    run = _Run(Target("http://127.0.0.1:1"), Load("a.b", 1, 1, 100.0, 60.0, 0, "${mark}"))
    assert run.result(lost=0)["deliveries_per_second"] == 0
