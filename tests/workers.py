"""`eventhub serve` with workers on the memory broker, each with events of its own: enough to test how they serve and are replaced."""

from eventhub.server import app

app.check_workers = lambda settings: None

if __name__ == "__main__":
    from eventhub.cli import app as command

    command()
