"""`eventhub serve` with workers on the memory broker, each with events of its own: enough to test how they serve and are replaced.

HANG_SECONDS: when one that is silent is taken for one that hangs.
"""

import os

from eventhub.server import app, supervisor

app.check_workers = lambda settings: None
supervisor.HANG_SECONDS = float(os.environ.get("HANG_SECONDS", supervisor.HANG_SECONDS))

if __name__ == "__main__":
    from eventhub.cli import app as command

    command()
