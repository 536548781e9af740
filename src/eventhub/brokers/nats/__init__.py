"""NATS JetStream: as many nodes as wanted, logs in streams. How positions map to streams stands in `server/streams/response.py`."""

from eventhub.brokers.nats.broker import NatsBroker

__all__ = ["NatsBroker"]
