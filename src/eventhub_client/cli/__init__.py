"""The command line of publishers, readers and operators. Each command has a file of its own.

`eventhub` (the server's distribution) has these commands, too. They need typer and rich:
`pip install 'eventhub-client[cli]'`.
"""

from collections.abc import Callable

import typer

from eventhub_client.cli import (
    bench,
    channels,
    context,
    disconnect,
    doctor,
    presence,
    pub,
    ship,
    tail,
    top,
)

Command = Callable[..., None]
COMMANDS: dict[str, Command] = {
    "pub": pub.pub,
    "tail": tail.tail,
    "ship": ship.ship,
    "channels": channels.channels,
    "presence": presence.presence,
    "disconnect": disconnect.disconnect,
    "top": top.top,
    "bench": bench.bench,
    "doctor": doctor.doctor,
}
CONTEXTS: dict[str, Command] = {
    "add": context.add,
    "use": context.use,
    "ls": context.list_all,
    "rm": context.remove,
}


def add_commands(app: typer.Typer) -> None:
    """Add the commands of clients to a command line."""
    for name, command in COMMANDS.items():
        app.command(name)(command)
    contexts = typer.Typer(help="Servers that you use often.", no_args_is_help=True)
    for name, command in CONTEXTS.items():
        contexts.command(name)(command)
    app.add_typer(contexts, name="context")


app = typer.Typer(
    name="eventhub-client",
    help="Publish to EventHub and follow its channels.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # they may show local variables, and some of those are secrets
)
add_commands(app)
