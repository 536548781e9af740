"""The WebSocket of a follower, for programs with an event loop."""

import asyncio
import json
import logging
import ssl
from contextlib import suppress

from websockets.asyncio.client import ClientConnection, connect

from eventhub_client.address import Address
from eventhub_client.credentials import Credentials, authorization
from eventhub_client.steps import (
    Close,
    Connect,
    Connected,
    FollowStep,
    Message,
    Receive,
    RenewToken,
    Reply,
    Send,
    Silence,
    Wait,
    Warn,
)
from eventhub_client.wire import (
    FAILED,
    TRANSIENT,
    WEBSOCKET_OPTIONS,
    closed_of,
    message_of,
    refusal_of,
)

log = logging.getLogger("eventhub_client")


class Link:
    """The WebSocket of a follower, over all its connections."""

    def __init__(
        self, address: Address, credentials: Credentials, tls: ssl.SSLContext | None
    ) -> None:
        self._url = address.websocket
        self._credentials = credentials
        self._options = WEBSOCKET_OPTIONS if tls is None else {**WEBSOCKET_OPTIONS, "ssl": tls}
        self._connection: ClientConnection | None = None

    async def take(self, step: FollowStep) -> Reply:
        """One step."""
        match step:
            case Connect():
                return await self._connect()
            case Receive(seconds):
                return await self._receive(seconds)
            case Send(messages):
                await self._send(messages)
            case RenewToken():
                await self._renew()
            case Warn(text):
                log.warning(text)
            case Wait(seconds):
                await asyncio.sleep(seconds)
            case Close():
                await self.close()
        return None

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _connect(self) -> Reply:
        try:
            headers = authorization(await self._credentials.renew())
            self._connection = await connect(self._url, additional_headers=headers, **self._options)
        except (*FAILED, asyncio.TimeoutError) as failure:
            log.warning("no connection to %s: %s", self._url, failure)
            return refusal_of(failure)
        return Connected()

    async def _receive(self, seconds: float) -> Reply:
        assert self._connection is not None
        try:
            return message_of(await asyncio.wait_for(self._connection.recv(), seconds))
        except (TimeoutError, asyncio.TimeoutError):
            return Silence()
        except FAILED as failure:
            return closed_of(failure)

    async def _send(self, messages: tuple[Message, ...]) -> None:
        assert self._connection is not None
        with suppress(*FAILED):  # the next receive shows that the connection is gone
            for message in messages:
                await self._connection.send(json.dumps(message))

    async def _renew(self) -> None:
        try:
            token = await self._credentials.renew()
        except TRANSIENT as failure:
            log.warning("no new token: %s", failure)
            return
        await self._send(({"type": "auth", "ref": "auth", "token": token},))
