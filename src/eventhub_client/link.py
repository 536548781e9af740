"""The WebSocket of a follower, over all its connections."""

import json
import logging
from collections.abc import Mapping
from typing import Any

from eventhub_client.address import Address
from eventhub_client.credentials import Credentials, authorization
from eventhub_client.following import update_of
from eventhub_client.members import Membership
from eventhub_client.steps import (
    Close,
    Connect,
    Connected,
    Join,
    LinkStep,
    Receive,
    RenewToken,
    Reply,
    Send,
    Wait,
    Warn,
)
from eventhub_client.transport import Runtime, Socket, Transport
from eventhub_client.wire import FAILED, TRANSIENT, refusal_of

log = logging.getLogger("eventhub_client")


class Link:
    """Takes the steps of a follower."""

    def __init__(
        self,
        address: Address,
        credentials: Credentials,
        transport: Transport,
        runtime: Runtime,
        member: Membership | None,
    ) -> None:
        self._url = address.websocket
        self._credentials = credentials
        self._transport = transport
        self._runtime = runtime
        self._member = member
        self._socket: Socket | None = None
        self._joined: tuple[str, ...] = ()

    async def take(self, step: LinkStep) -> Reply:
        """One step."""
        match step:
            case Connect():
                return await self._connect()
            case Receive(seconds):
                assert self._socket is not None
                return await self._socket.receive(seconds)
            case Send(messages):
                for message in messages:
                    await self._send(message)
            case Join(channels, version):
                self._join(channels, version)
            case RenewToken():
                await self._renew()
            case Warn(text):
                log.warning(text)
            case Wait(seconds):
                await self._runtime.sleep(seconds)
            case Close():
                await self.close()
        return None

    async def close(self) -> None:
        if self._member is not None:
            self._member.detach(self._update)
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()

    async def _connect(self) -> Reply:
        try:
            headers = authorization(await self._credentials.renew())
            self._socket = await self._transport.open(self._url, headers)
        except FAILED as failure:
            log.warning("no connection to %s: %s", self._url, failure)
            return refusal_of(failure)
        return Connected()

    async def _send(self, message: Mapping[str, Any]) -> None:
        assert self._socket is not None
        await self._socket.send(json.dumps(message))

    def _join(self, channels: tuple[str, ...], version: int) -> None:
        assert self._member is not None
        self._joined = channels
        self._member.attach(self._update, version)

    def _update(self, data: object) -> None:
        socket = self._socket
        if socket is not None:
            for channel in self._joined:
                socket.send_soon(json.dumps(update_of(channel, data)))

    async def _renew(self) -> None:
        try:
            token = await self._credentials.renew()
        except TRANSIENT as failure:
            log.warning("no new token: %s", failure)
            return
        await self._send({"type": "auth", "ref": "auth", "token": token})
