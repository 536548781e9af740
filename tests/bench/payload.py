"""The payload of the benchmarks, for EventHub and for the FastAPI route alike."""

from pydantic import BaseModel


class Event(BaseModel):
    """When it was sent, and something to fill it."""

    t: int
    pad: str
