"""EventHub as a plain ASGI application, for another server than ours:
`uvicorn tests.harness.asgi:app`.
"""

import os
from pathlib import Path

from eventhub.config.loader import CONFIG_VARIABLE, load
from eventhub.server.app import create_app

_file = Path(os.environ[CONFIG_VARIABLE])
app = create_app(load(_file), _file.parent)
