"""NATS JetStream: any number of nodes, with the logs in streams.

`streams.py` says how positions map to streams. `link.py` alone opens connections.
"""

from eventhub.brokers.nats.broker import NatsBroker

__all__ = ["NatsBroker"]
