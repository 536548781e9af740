"""EventHub: real-time event broadcast over typed channels."""

from importlib.metadata import version

__version__ = version("eventhub-server")
