"""What a comparison asks, and what it finds."""

from typing import NamedTuple

from eventhub.events.compatibility.documents import SchemaNode

Places = tuple[SchemaNode, ...]
"""Places whose schemas hold together."""


class Refusal(NamedTuple):
    """A place of the reader's schema that refuses values of the writer's."""

    pointer: str
    rule: str
    message: str


class Question(NamedTuple):
    """Whether `reader` accepts each value that all `places` of the writer accept.

    `level`: how many steps into the value. `fills`: a reader may fill in defaults here.
    """

    places: Places
    reader: SchemaNode
    level: int = 0
    fills: bool = True

    def of(self, places: Places, reader: SchemaNode, *, fills: bool | None = None) -> "Question":
        """The question about the same value, with other schemas."""
        return Question(places, reader, self.level, self.fills if fills is None else fills)

    def below(self, places: Places, reader: SchemaNode, *, fills: bool = False) -> "Question":
        """The question about a member or an item of the value."""
        return Question(places, reader, self.level + 1, fills)
