"""The macros that look at each item of a list, or at each key of a map."""

from collections.abc import Callable, Iterator
from typing import Any

from eventhub.filters.nodes import Loop
from eventhub.filters.values import Evaluate, EvaluationError, Run, described


def loop(
    node: Loop, key: str, over: Evaluate, body: Evaluate, condition: Evaluate | None
) -> Evaluate:
    """The value of a macro, whose parts are compiled. `key` is where its variable is kept."""
    where = f"{node.macro} (column {node.column})"
    steps = 2 + node.body.size + (0 if node.condition is None else node.condition.size)

    def each(run: Run) -> Iterator[Any]:
        """Make each item in turn the variable, and count the steps of the body."""
        items = over(run)
        if type(items) not in (list, dict):
            raise EvaluationError(f"{where} does not take {described(items)}")
        names = run.names
        for item in items:
            run.spend(steps)
            names[key] = item
            yield item

    match node.macro:
        case "exists" | "all":
            return _decide(each, body, where, decisive=node.macro == "exists")
        case "exists_one":
            return lambda run: sum(_boolean(body(run), where) for _ in each(run)) == 1
        case "filter":
            return lambda run: [item for item in each(run) if _boolean(body(run), where)]
    return lambda run: [
        body(run) for _ in each(run) if condition is None or _boolean(condition(run), where)
    ]


def _decide(
    each: Callable[[Run], Iterator[Any]], body: Evaluate, where: str, *, decisive: bool
) -> Evaluate:
    """The first item that decides, even if the body has no value for one before it."""

    def decide(run: Run) -> bool:
        failure: EvaluationError | None = None
        for _ in each(run):
            try:
                if _boolean(body(run), where) is decisive:
                    return decisive
            except EvaluationError as error:
                failure = error
        if failure is not None:
            raise failure
        return not decisive

    return decide


def _boolean(value: Any, where: str) -> bool:
    if type(value) is not bool:
        raise EvaluationError(f"{where} needs true or false, not {described(value)}")
    return value
