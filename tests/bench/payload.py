"""The payload of the benchmarks, for EventHub and for the FastAPI route alike."""

from pydantic import BaseModel


class Event(BaseModel):
    """The time of sending, and a filler."""

    t: int
    pad: str
