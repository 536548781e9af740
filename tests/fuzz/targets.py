"""The targets by name, and the places of their corpus.

A target accepts any bytes. It raises AssertionError if a result is wrong, or lets an unexpected
exception through.
"""

from collections.abc import Callable
from pathlib import Path

from tests.fuzz.bodies import bodies, streams
from tests.fuzz.commands import commands
from tests.fuzz.credentials import credentials, key_sets, queries
from tests.fuzz.encoders import encoders
from tests.fuzz.frames import frames
from tests.fuzz.lane import lane
from tests.fuzz.words import handshake, words

CORPUS = Path(__file__).parent / "corpus"
TARGETS: dict[str, Callable[[bytes], None]] = {
    "frames": frames, "commands": commands, "bodies": bodies, "streams": streams, "words": words,
    "handshake": handshake, "encoders": encoders, "credentials": credentials, "key_sets": key_sets,
    "queries": queries, "lane": lane,
}  # fmt: skip


def corpus(name: str) -> list[bytes]:
    """Inputs, each of which reaches code that the others do not."""
    return [file.read_bytes() for file in sorted((CORPUS / name).iterdir())]
