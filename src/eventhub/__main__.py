"""`python -m eventhub` is the `eventhub` command."""

from eventhub.cli import app

app(prog_name="eventhub")
