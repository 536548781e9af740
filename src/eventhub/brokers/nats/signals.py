"""Signals over NATS: messages on the subject that announces their channel, in no stream.

A header tells them from announcements. A node of an older version ignores a message without the
headers of a stream.
"""

from collections.abc import Callable

from nats.aio.msg import Msg

from eventhub.brokers.nats.link import NatsLink
from eventhub.brokers.nats.subjects import Subjects
from eventhub.brokers.signals import decode, encode
from eventhub.errors import BrokerUnavailable
from eventhub.events.signal import Signal

HEADER = "EventHub-Signal"
UNSENT_BYTES = 1024 * 1024
"""Bytes of messages that the server has not taken. With more, signals are refused."""


class NatsSignals:
    """Publishes and reads the signals of one link. `deliver` gets those of subscribed channels."""

    def __init__(
        self, link: NatsLink, subjects: Subjects, deliver: Callable[[Signal], None]
    ) -> None:
        self._link, self._subjects, self._deliver = link, subjects, deliver

    def send(self, signal: Signal) -> None:
        """Send a signal, once. Raises BrokerUnavailable."""
        if (waiting := self._link.unsent_bytes) > UNSENT_BYTES:
            raise BrokerUnavailable(
                f"{waiting} bytes wait for the NATS server; above {UNSENT_BYTES} bytes, signals "
                "are refused"
            )
        self._link.publish_now(self._subjects.live(signal.channel), encode(signal), {HEADER: "1"})

    def receive(self, channel: str, message: Msg) -> bool:
        """Deliver a signal. False if the message is none. Raises ValueError for a broken one."""
        if HEADER not in (message.headers or {}):
            return False
        self._deliver(decode(channel, message.data))
        return True
