"""Publishes a refused event again, as it was received or mended. Its principal is the new author.

It takes the same way as any other publish, with an idempotency key that its entry's id makes. So
it is one event even if it is published twice.
"""

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import quote, urlencode

import orjson
from starlette.types import Receive, Scope

from eventhub.auth.principal import Principal
from eventhub.errors import InvalidRequest
from eventhub.events.channel_types import ChannelType, PublisherKind
from eventhub.events.event import EXTENSIONS
from eventhub.events.refused_event import AGAIN, RefusedEvent
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.publish.body import read_body
from eventhub.server.publish.endpoint import PublishEndpoint
from eventhub.server.publish.headers import ATTRIBUTE_HEADERS
from eventhub.server.publish.request import PREFIX, Again, PublishRequest
from eventhub.server.publish.response import PublishResponse

OWN = frozenset((b"idempotency-key", b"content-type", b"prefer"))
"""Headers that the request does not set."""
REFERENCE = ("refers", "relation")
PRECONDITIONS = frozenset((b"if-match", b"if-none-match"))


class AgainPublisher:
    """Publishes refused events again."""

    def __init__(self, manager: ConnectionManager) -> None:
        self._manager = manager
        self._endpoint = PublishEndpoint(manager)

    async def publish(
        self,
        entry: RefusedEvent,
        principal: Principal,
        scope: Scope,
        headers: Mapping[bytes, bytes],
        receive: Receive,
    ) -> PublishResponse:
        """Publish the request's body, or what was received if it has none.

        The entry is removed if all of it is stored. Returns the response to a publish. Raises
        EventHubError; then nothing is stored.
        """
        hub = self._manager.hub
        channel_type = hub.types.resolve(entry.channel)
        request = self._request(entry, channel_type, principal, scope, headers)
        body = await read_body(self._manager, request, receive)
        if not body and entry.cut:
            raise InvalidRequest(
                f"{len(entry.payload)} bytes of the payload were kept, which is not all of it; "
                "expected the whole payload as the body"
            )
        response = await self._endpoint.publish_body(request, body or entry.payload)
        if response.status == HTTPStatus.CREATED:
            await hub.refused_events.remove(channel_type, entry)
        return response

    def _request(
        self,
        entry: RefusedEvent,
        channel_type: ChannelType,
        principal: Principal,
        scope: Scope,
        headers: Mapping[bytes, bytes],
    ) -> PublishRequest:
        """The publish of this entry, with what the request's headers say otherwise."""
        sent = {name: value for name, value in headers.items() if name not in OWN}
        for name, attribute in ATTRIBUTE_HEADERS.items():
            if attribute in entry.attributes:
                sent.setdefault(name, quote(entry.attributes[attribute]).encode())
        sent = {**_cloudevent_headers(entry.options), **sent}
        options = {name: entry.options[name] for name in REFERENCE if name in entry.options}
        expected = entry.options.get("if_match")
        if expected is not None and PRECONDITIONS.isdisjoint(sent):
            if expected == "none":
                sent[b"if-none-match"] = b"*"
            else:
                sent[b"if-match"] = expected.encode()
        # the type may take events from clients alone
        producers = PublisherKind.PRODUCER in channel_type.publish
        kind = PublisherKind.PRODUCER if producers else PublisherKind.CLIENT
        again = Again(kind, AGAIN + entry.id)
        publish = {
            **scope,
            "path": PREFIX + entry.channel,
            "query_string": urlencode(options).encode(),
            "headers": list(sent.items()),
        }
        return PublishRequest(self._manager, publish, sent, principal, again)


def _cloudevent_headers(options: Mapping[str, str]) -> dict[bytes, bytes]:
    """The headers that make the request a CloudEvent in the mode in which it was sent."""
    if "content_type" in options:
        return {b"content-type": options["content_type"].encode()}
    found = {
        f"ce-{name}": options[name] for name in ("specversion", "dataschema") if name in options
    }
    extensions = orjson.loads(options.get(EXTENSIONS, "{}"))
    found |= {f"ce-{name}": str(value) for name, value in extensions.items()}
    headers = {name.encode(): quote(text).encode() for name, text in found.items()}
    if "datacontenttype" in options:
        headers[b"content-type"] = options["datacontenttype"].encode()
    return headers
