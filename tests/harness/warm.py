"""What the process that servers are forked from has done before: each server then only does what
its own configuration asks for.
"""

import concurrent.futures.thread  # noqa: F401  # imported late by those that are forked
import encodings.idna  # noqa: F401
import gc
import os

import uvicorn.loops.uvloop
import uvicorn.main  # noqa: F401

import eventhub.cli.serve  # noqa: F401
from eventhub.config.settings import Settings
from eventhub.server.app import create_app

for name in [name for name in os.environ if name.startswith("EVENTHUB_")]:
    del os.environ[name]  # settings of tests; each server is given an environment of its own
create_app(Settings()).routes  # noqa: B018  # for what FastAPI and pydantic import and remember
gc.collect()
gc.freeze()  # no server has to look through, and so to copy, what it shares with all others
