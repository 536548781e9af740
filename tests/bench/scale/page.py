"""docs/scale.md: its text is in `scale.md.in`, its figures are those of the stored measurements."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from string import Template

from tests.bench.scale import plan as planning
from tests.bench.scale.plan import Demand, Plan, plan
from tests.bench.scale.results import Model, Results
from tests.bench.scale.rows import ROWS, Row

PAGE = Path(__file__).parents[3] / "docs" / "scale.md"
TEMPLATE = Path(__file__).with_name("scale.md.in")
KERNEL_KIB = 4
"""Of an idle socket: the kernel's objects for it, from their sizes and not measured."""
MIB = 1024**2
TIMES = " \N{MULTIPLICATION SIGN} "
EXAMPLES = {
    "Live": Demand(connections=1e6, audience=1000, events=10_000, batch=10),
    "Idle": Demand(connections=1e7, audience=1, events=1e7 / 600, history=10),
    "Chat": Demand(connections=1e6, audience=10, events=10_000),
    "Logs": Demand(connections=300, audience=3, events=100_000, batch=100, history=10_000),
}


def render(results: Results) -> str:
    """The page."""
    template = Template(TEMPLATE.read_text(encoding="utf-8"))
    announcement, event = (
        results.of("redis nodes", term) for term in ("request to a node", "event to a node")
    )
    delivery = results.of("delivery", "subscriber")
    return template.substitute(
        machine=_machine(results),
        costs=_costs(results),
        examples=_examples(results),
        predictions=_predictions(results),
        target=f"{planning.TARGET:g}",
        node_connections=f"{planning.NODE_CONNECTIONS:,}",
        kernel_kib=KERNEL_KIB,
        wire=planning.WIRE_BYTES,
        follow_us=short(announcement + event),
        follow_limit=short(planning.TARGET / (announcement + event) * 1e6),
        single_us=short(10 * (announcement + event)),
        batch_us=short(announcement + 10 * event),
        channel_10=short(_one_channel(results, 10)),
        channel_100=short(_one_channel(results, 100)),
        many_ms=short(planning.NODE_CONNECTIONS * delivery / 1000),
        handshake_us=short(results.of("handshakes", "connection")),
    )


def _machine(results: Results) -> str:
    names = ("processor", "memory", "kernel", "python", "commit")
    rows = [("measured", results.begun), *((name, results.machine[name]) for name in names)]
    return _table(("", ""), rows)


def short(value: float) -> str:
    """Two digits: a model that may be wrong by a third has no more."""
    return f"{float(f'{value:.2g}'):,.10g}"


def _one_channel(results: Results, nodes: int) -> float:
    """Events a second, one in a request, that keep the target's share of one shard busy."""
    cost = results.models["redis"].coefficients.values()
    return (
        planning.TARGET
        / (sum(x * y for x, y in zip((1, 1, nodes, nodes), cost, strict=True)))
        * 1e6
    )


def _costs(results: Results) -> str:
    return _table(("", "costs", "range"), (_cost(results, row) for row in ROWS))


def _cost(results: Results, row: Row) -> tuple[str, str, str]:
    model = results.models[row.cost]
    value = model.coefficients[row.term] * row.factor
    low, high = (bound * row.factor for bound in model.spreads[row.term])
    shown = f"{short(value)} {row.unit}".rstrip() if value else "too little to tell"
    return row.text, shown, f"{short(low)} to {short(high)}"


def _examples(results: Results) -> str:
    plans = {name: plan(demand, results) for name, demand in EXAMPLES.items()}
    rows = [
        [text, *(show(EXAMPLES[name], found) for name, found in plans.items())]
        for text, show in PLAN_ROWS.items()
    ]
    return _table(("", *plans), rows)


PLAN_ROWS: dict[str, Callable[[Demand, Plan], str]] = {
    "connections": lambda demand, found: f"{demand.connections:,.0f}",
    "events per second, published": lambda demand, found: short(demand.events),
    "deliveries per second": lambda demand, found: short(demand.deliveries),
    "**nodes** (processes)": lambda demand, found: f"**{short(found.nodes)}**",
    "cores that are busy in them": lambda demand, found: short(found.busy_cores),
    "memory of the nodes": lambda demand, found: f"{short(found.memory)} GiB",
    "kernel's memory for sockets": lambda demand, found: (
        f"{short(demand.connections * KERNEL_KIB / planning.GIB)} GiB"
    ),
    "nodes that get each event": lambda demand, found: short(found.listening),
    "**shards of Redis**": lambda demand, found: f"**{short(found.shards)}**",
    "cores that are busy in them all": lambda demand, found: short(found.broker_cores),
    "memory of Redis": lambda demand, found: f"{short(found.broker_memory)} GiB",
    "Redis sends, per second": lambda demand, found: f"{short(found.broker_sends / MIB)} MiB",
    "each node sends, per second": lambda demand, found: f"{short(found.node_sends / MIB)} MiB",
    "one event to a channel's subscribers on a node": lambda demand, found: (
        f"{short(found.one_event_ms)} ms"
    ),
    "all clients come back": lambda demand, found: f"{short(found.return_seconds)} s",
}


def _predictions(results: Results) -> str:
    rows = (_prediction(model) for model in results.models.values())
    return _table(("cost", "measured at", "fitted to", "predicted, and how far off"), rows)


def _prediction(model: Model) -> tuple[str, str, str, str]:
    cost = model.cost
    fitted = ", ".join(map(_size, cost.fitted))
    off = ", ".join(f"{_size(one.size)}: {one.error:+.0%}" for one in model.predictions())
    return cost.title, TIMES.join(cost.axes), fitted, off


def _size(size: tuple[int, ...]) -> str:
    return TIMES.join(f"{number:,}" for number in size)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        f"|{'|'.join(f' {cell} ' if cell else ' ' for cell in line)}|" for line in lines
    )
