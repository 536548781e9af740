"""The yardstick: a broadcast as FastAPI tutorials write it. Not part of EventHub."""

import sys
from collections import deque
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from tests.bench.payload import Event

app = FastAPI()
sockets: dict[int, WebSocket] = {}
history: deque[Event] = deque(maxlen=1000)


@app.websocket("/ws")
async def listen(socket: WebSocket) -> None:
    await socket.accept()
    sockets[id(socket)] = socket
    try:
        while True:
            await socket.receive_text()
    except WebSocketDisconnect:
        del sockets[id(socket)]


@app.post("/publish")
async def publish(event: dict[str, Any]) -> dict[str, bool]:
    for socket in list(sockets.values()):
        await socket.send_json(event)
    return {"ok": True}


@app.post("/events", status_code=201)
async def keep(events: Event | list[Event]) -> dict[str, Any]:
    events = events if isinstance(events, list) else [events]
    history.extend(events)
    return {"results": [{"id": str(uuid4()), "time": datetime.now(UTC)} for _ in events]}


if __name__ == "__main__":
    uvicorn.run(
        app,
        port=int(sys.argv[1]),
        ws="websockets",
        loop="uvloop",
        http="httptools",
        log_level="warning",
    )
