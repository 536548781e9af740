"""The log's output as lines of JSON. A line of a kind that comes often can be written as text.

structlog and `logging` take 80 µs for a line of the access log; as text it takes a tenth.
"""

import json
import logging
from datetime import UTC, datetime
from typing import TextIO

from structlog.contextvars import get_contextvars


class JsonLines(logging.StreamHandler[TextIO]):
    """Writes records, and lines that are given as text, each at once."""

    def add(self, members: str, logger: str) -> None:
        """Write a line at level info, with these members of a JSON object and those of every line.

        Raises what the stream does.
        """
        if context := get_contextvars():
            members += f", {json.dumps(context, default=repr)[1:-1]}"
        time = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        line = f'{{{members}, "level": "info", "logger": "{logger}", "timestamp": "{time}"}}\n'
        self.acquire()  # a thread may log at the same time
        try:
            self.stream.write(line)
            self.flush()
        finally:
            self.release()
