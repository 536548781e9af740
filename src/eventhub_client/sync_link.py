"""The WebSocket of a follower, for programs without an event loop."""

import json
import logging
import ssl
import time
from contextlib import ExitStack, suppress

from websockets.sync.client import ClientConnection, connect

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


class SyncLink:
    """The WebSocket of a follower, over all its connections."""

    def __init__(
        self, address: Address, credentials: Credentials, tls: ssl.SSLContext | None
    ) -> None:
        self._url = address.websocket
        self._credentials = credentials
        self._options = WEBSOCKET_OPTIONS if tls is None else {**WEBSOCKET_OPTIONS, "ssl": tls}
        self._context = ExitStack()
        self._connection: ClientConnection | None = None

    def take(self, step: FollowStep) -> Reply:
        """One step."""
        match step:
            case Connect():
                return self._connect()
            case Receive(seconds):
                return self._receive(seconds)
            case Send(messages):
                self._send(messages)
            case RenewToken():
                self._renew()
            case Warn(text):
                log.warning(text)
            case Wait(seconds):
                time.sleep(seconds)
            case Close():
                self.close()
        return None

    def close(self) -> None:
        self._context.close()
        self._connection = None

    def _connect(self) -> Reply:
        try:
            headers = authorization(self._credentials.renew_now())
            self._connection = self._context.enter_context(
                connect(self._url, additional_headers=headers, **self._options)
            )
        except FAILED as failure:
            log.warning("no connection to %s: %s", self._url, failure)
            return refusal_of(failure)
        return Connected()

    def _receive(self, seconds: float) -> Reply:
        assert self._connection is not None
        try:
            return message_of(self._connection.recv(timeout=seconds))
        except TimeoutError:
            return Silence()
        except FAILED as failure:
            return closed_of(failure)

    def _send(self, messages: tuple[Message, ...]) -> None:
        assert self._connection is not None
        with suppress(*FAILED):  # the next receive shows that the connection is gone
            for message in messages:
                self._connection.send(json.dumps(message))

    def _renew(self) -> None:
        try:
            token = self._credentials.renew_now()
        except TRANSIENT as failure:
            log.warning("no new token: %s", failure)
            return
        self._send(({"type": "auth", "ref": "auth", "token": token},))
