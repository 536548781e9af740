"""Workers that are forked, as Celery's are: `python prefork.py URL JOBS KILLS`.

The hub and the log handler are made before the fork. The parent gives jobs to workers, kills some
of them with SIGKILL in the middle of their work, and gives their job to another one.
"""

import logging
import os
import signal
import socket
import sys
from collections import deque

from eventhub_client.logging import Handler
from eventhub_client.sync import Hub

WORKERS = 3
url, jobs, kills = sys.argv[1], deque(range(int(sys.argv[2]))), int(sys.argv[3])
hub = Hub(url)
logging.basicConfig(level="INFO", handlers=[Handler(url, "logs.prefork")])
logging.getLogger("httpx").setLevel("WARNING")


def work(pipe: socket.socket) -> None:
    """The job's number is the key: a job that is done twice is one event."""
    while given := pipe.recv(16):
        job = int(given)
        hub.publish("jobs.done", {"job": job}, key=f"job-{job}")
        logging.info("job %d", job)
        pipe.send(b"done")
    logging.shutdown()


def spawn() -> tuple[int, socket.socket]:
    """A worker's process and the way to it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = os.fork()
    if process == 0:
        ours.close()
        for _, pipe in workers:
            pipe.close()
        try:
            work(theirs)
        finally:
            os._exit(0)
    theirs.close()
    return process, ours


hub.publish("jobs.begun", len(jobs))  # the connection is open when the workers are forked
workers: list[tuple[int, socket.socket]] = []
for _ in range(WORKERS):
    workers += [spawn()]
while jobs:
    taken = [(number, jobs.popleft()) for number in range(min(WORKERS, len(jobs)))]
    for number, job in taken:
        workers[number][1].send(b"%d" % job)
    victim = len(jobs) % len(taken) if kills and jobs else None
    for number, job in taken:
        process, pipe = workers[number]
        if number == victim:
            kills -= 1
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            pipe.close()
            workers[number] = spawn()
            jobs.append(job)
        elif pipe.recv(16) != b"done":
            raise SystemExit(f"worker {number} has ended")
for process, pipe in workers:
    pipe.close()
    os.waitpid(process, 0)
