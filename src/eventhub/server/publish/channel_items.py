"""Decoding the items of a publish to several channels: each names its channel. No I/O."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from eventhub.auth.grants import Action
from eventhub.auth.principal import Principal
from eventhub.common.strict_json import dump
from eventhub.errors import EventHubError, InvalidRequest
from eventhub.events.channel_types import ChannelType, PublisherKind
from eventhub.events.compatibility.versions import stamped
from eventhub.events.deletions import deletion
from eventhub.events.event import NewEvent, with_author
from eventhub.events.refused_event import OPTIONS, Received
from eventhub.events.signal import Signal
from eventhub.events.since import parse_expected
from eventhub.events.validation_errors import model_details
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.publish.decoder import EventDecoder
from eventhub.server.publish.signal_decoder import SignalDecoder
from eventhub.server.security.publish_quota import Charge
from eventhub.session.commands import (
    Attributes,
    Expected,
    Key,
    StateKey,
    content_details,
    json_kind,
)


class ChannelItem(BaseModel):
    """An event, or a signal, and its channel. `key` is an idempotency key of an event."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    channel: str
    data: Any = None
    deleted: StateKey | None = None
    key: Key | None = None
    attributes: Attributes | None = None
    if_match: Expected | None = None
    signal: bool = False


FIELDS = frozenset(ChannelItem.model_fields)


class ChannelItemDecoder:
    """Decodes the items of one request. `key`: its header Idempotency-Key."""

    def __init__(
        self,
        manager: ConnectionManager,
        principal: Principal,
        address: str,
        attributes: Mapping[str, str] | None,
        key: str | None,
    ) -> None:
        self._manager, self._principal, self._address = manager, principal, address
        self._attributes, self._key = attributes or {}, key
        self._decoders: dict[str, EventDecoder | EventHubError] = {}
        self._signals = SignalDecoder(manager, principal, address)
        self._charges: dict[str, Charge | None] = {}
        self._counts: Counter[str] = Counter()

    def decode(
        self, value: Any, index: int, *, detailed: bool
    ) -> NewEvent | Signal | EventHubError:
        """An event or a signal, or why the item at this index is refused. `detailed`: with faults.

        An item whose channel may be published to is charged, whatever else is wrong with it.
        """
        channel = ""
        try:
            item = _checked(value)
            channel = item.channel
            sent = {**self._attributes, **_attributes(item)}
            if item.signal:
                return self._signal(item, sent, detailed=detailed)
            decoder = self._decoder(channel)
            if isinstance(decoder, EventHubError):
                return self._rejected(channel, decoder)
            self._counts[channel.partition(".")[0]] += 1
            return self._event(item, sent, decoder, index, detailed=detailed)
        except EventHubError as error:
            received = self._received(value) if detailed else None
            return self._rejected(channel, error.without_traceback(), received)

    def _event(
        self,
        item: ChannelItem,
        attributes: dict[str, str],
        decoder: EventDecoder,
        index: int,
        *,
        detailed: bool,
    ) -> NewEvent:
        channel_type = self._manager.hub.types.resolve(item.channel)
        sent = with_author(attributes, self._principal.author)
        decoder.attributes = stamped(channel_type.version, sent) if item.deleted is None else sent
        decoder.expected = None
        if item.if_match is not None:
            channel_type.check_has_key("if_match")
            decoder.expected = parse_expected(item.if_match)
        if item.deleted is None:
            event = decoder.decode(dump(item.data), detailed=detailed)
        else:
            event = deletion(
                channel_type,
                item.channel,
                item.deleted,
                self._manager.hub.now(),
                decoder.attributes,
            )._replace(expected=decoder.expected)
        key = item.key or (None if self._key is None else f"{self._key} event {index}")
        return event if key is None else event._replace(key=key)

    def _signal(
        self, item: ChannelItem, attributes: dict[str, str], *, detailed: bool
    ) -> Signal | EventHubError:
        try:
            if item.key is not None:
                raise InvalidRequest(
                    "the item is a signal and has a key; expected no key, because a signal is not "
                    "stored and never repeated"
                )
            if item.deleted is not None or item.if_match is not None:
                raise InvalidRequest(
                    "the item is a signal and has deleted or if_match; expected neither, because "
                    "a signal is not in the state"
                )
            body = dump(item.data)
            return self._signals.decode(item.channel, body, attributes, detailed=detailed)
        except EventHubError as error:
            self._manager.hub.signal_rejected(item.channel, error)
            return error.without_traceback()

    def pay(self) -> dict[str, EventHubError]:
        """Charge for all events. Returns the error of each channel type that exceeds its rate."""
        refused: dict[str, EventHubError] = {}
        for name, count in self._counts.items():
            if (charge := self._charges[name]) is not None:
                try:
                    charge.pay(count)
                except EventHubError as error:
                    refused[name] = error.without_traceback()
        return refused

    def _decoder(self, channel: str) -> EventDecoder | EventHubError:
        """The channel's decoder, or why this principal cannot publish to it now."""
        if (found := self._decoders.get(channel)) is None:
            try:
                found = self._admit(channel)
            except EventHubError as error:
                found = error.without_traceback()
            self._decoders[channel] = found
        return found

    def _admit(self, channel: str) -> EventDecoder:
        manager = self._manager
        channel_type = manager.hub.types.resolve(channel)
        channel_type.admit(PublisherKind.PRODUCER)
        self._principal.authorize(Action.PUBLISH, channel, channel_type.anonymous)
        charge = self._charge(channel_type)
        if charge is not None:
            charge.check()
        limits = manager.settings.limits
        decoder = EventDecoder(channel, channel_type, limits, manager.hub.now, None, "event")
        decoder.author = self._principal.author
        return decoder

    def _charge(self, channel_type: ChannelType) -> Charge | None:
        name = channel_type.name
        if name not in self._charges:
            self._charges[name] = self._manager.publish_quota.charge_for(
                self._principal, self._address, channel_type
            )
        return self._charges[name]

    def _received(self, value: Any) -> Received | None:
        """What is kept of a refused item: if it is an event that it names a channel for.

        None of a channel that its principal may not publish to.
        """
        if not isinstance(value, dict) or "data" not in value or value.get("signal"):
            return None
        channel, key = value.get("channel"), value.get("key")
        if not isinstance(channel, str) or isinstance(self._decoder(channel), EventHubError):
            return None
        attributes = value.get("attributes")
        return Received(
            channel,
            dump(value["data"]),
            self._principal.author,
            "http",
            key if isinstance(key, str) else self._key,
            {**self._attributes, **(attributes if isinstance(attributes, dict) else {})},
            {name: value[name] for name in OPTIONS if isinstance(value.get(name), str)},
        )

    def _rejected(
        self, channel: str, error: EventHubError, received: Received | None = None
    ) -> EventHubError:
        self._manager.hub.rejected(channel, error, received)
        return error


def _attributes(item: ChannelItem) -> dict[str, str]:
    return {str(name): text for name, text in (item.attributes or {}).items()}


def _checked(value: Any) -> ChannelItem:
    if not isinstance(value, dict):
        raise InvalidRequest(
            f"the item is a JSON {json_kind(value)}; "
            'expected one such as {"channel":"iot.t1","data":{"value":21.5}}'
        )
    details = content_details(value)
    try:
        item = ChannelItem.model_validate(value)
    except ValidationError as error:
        details = model_details(error, value, FIELDS)
    if details:
        raise InvalidRequest("the item is not an event with its channel", details)
    return item
