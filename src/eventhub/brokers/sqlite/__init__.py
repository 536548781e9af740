"""The broker for one node whose events survive restarts: a SQLite database in WAL mode.

`broker` runs on the event loop and never waits for the disk. `writer` is the one thread that
writes: `store` is its SQL, `logs` and `write_transaction` decide without I/O. `history` reads on
threads of its own. `database` opens, locks and checks the file.
"""

from eventhub.brokers.sqlite.broker import SqliteBroker

__all__ = ["SqliteBroker"]
