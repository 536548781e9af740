"""Where events are stored and announced.

`base` holds the contract; `memory`, `sqlite`, `redis` and `nats` each hold one broker.
"""
