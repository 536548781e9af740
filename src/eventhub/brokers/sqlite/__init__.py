"""The broker of one node that survives restarts: a SQLite database in WAL mode. `broker` is the shell on the event loop.

`writer` is the one thread that writes, `store` its SQL, `logs` what it decides without any I/O; `history` reads on threads of its own;
`file` opens, locks and checks the database.
"""

from eventhub.brokers.sqlite.broker import SqliteBroker

__all__ = ["SqliteBroker"]
