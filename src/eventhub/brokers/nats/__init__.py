"""NATS JetStream: any number of nodes, with the logs in streams.

`streams.py` says how positions map to streams. Nothing else in the broker opens a connection than
`link.py`.
"""

from eventhub.brokers.nats.broker import NatsBroker

__all__ = ["NatsBroker"]
