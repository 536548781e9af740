"""The yardstick: broadcasting the way FastAPI tutorials do. Not part of EventHub."""

import sys
from typing import Any

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

app = FastAPI()
sockets: dict[int, WebSocket] = {}


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


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), ws="websockets", loop="uvloop", http="httptools", log_level="warning")
