"""What happens to the events of one channel type on this node, in figures."""

from collections import Counter


class DeliveryCounters:
    """Counts of one channel type on this node. Metrics read them when they are scraped."""

    __slots__ = (
        "delivered",
        "disconnected",
        "filter_failures",
        "gaps",
        "resumed",
        "signals",
        "signals_dropped",
        "skipped",
        "states",
    )

    def __init__(self) -> None:
        self.delivered = self.resumed = self.disconnected = self.signals = self.filter_failures = 0
        self.states = 0  # subscriptions that began with a state, or with its changes
        self.signals_dropped: Counter[str] = Counter()  # by reason
        self.skipped: Counter[str] = Counter()  # by slow-reader policy
        self.gaps: Counter[str] = Counter()  # by reason
