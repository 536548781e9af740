"""Pages of history of several channels, or of all channels that fit a pattern."""

from typing import Annotated, Any

import orjson
from fastapi import FastAPI, Query, Request, Response

from eventhub.delivery.encoding import event_json, gap_fields
from eventhub.delivery.pattern_cursor import is_pattern_cursor, parse_pattern_cursor
from eventhub.hub.selection_pages import AskedPage, SelectionPage
from eventhub.server.api.access import authenticate
from eventhub.server.api.cloudevent_pages import BATCH, batch_response, cloudevents_wanted
from eventhub.server.api.parameters import Where, check_parameters
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.security.authentication import address_of
from eventhub.server.streams.selection_begin import begin_of, check_parts, selection_of
from eventhub.session.subscribing import authorize

Channels = Annotated[
    list[str],
    Query(
        alias="channel",
        description="A channel, or a pattern such as iot.>; repeat it for several that have no "
        "channel in common",
    ),
]
Since = Annotated[
    str,
    Query(
        description="The `position` of the page before, earliest, latest, state, a count such as "
        "-20 or an age such as 10m"
    ),
]


def add_selection_route(api: FastAPI, manager: ConnectionManager) -> None:
    """Add the route."""
    hub, most = manager.hub, manager.settings.limits.page
    cursors = hub.patterns.cursors

    @api.get(
        "/v1/events",
        summary="A page of history of several channels, or of all that fit a pattern",
        tags=["read"],
        responses=BATCH,
    )
    async def events(
        request: Request,
        channels: Channels,
        since: Since = "earliest",
        limit: Annotated[int, Query(ge=1, le=most, description="Events on the page")] = min(
            100, most
        ),
        where: Where = None,
    ) -> Response:
        check_parameters(request, "channel", "since", "limit", "where", repeated="channel")
        check_parts(channels)
        selection = selection_of(channels)
        principal = await authenticate(manager, request)
        for part in channels:
            authorize(hub.types, principal, part, "", presence=False)
        charge = manager.publish_quota.page_charge_for(principal, address_of(request.scope))
        charge.check()
        begin = await begin_of(selection, since, None, cursors)
        asked = AskedPage(
            selection,
            begin.since,
            _last_read(since),
            limit,
            most,
            hub.patterns.most_channels,
            None if where is None else hub.filter(where),
        )
        added = cursors.added
        page = await hub.pages.read(asked, begin.cursor(selection.text, cursors), hub.now())
        if cursors.added != added:
            charge.pay(1)
            await cursors.all_stored()
        if (cloudevents := cloudevents_wanted(manager, request)) is not None:
            gaps = [({"channel": name, **gap_fields(gap)}, gap.position) for name, gap in page.gaps]
            return batch_response(cloudevents, gaps, page.events, _fields(page))
        return Response(_encode(page), media_type="application/json")


def _last_read(since: str) -> str:
    """The channel after which a cursor goes on: the last one that it names."""
    if not is_pattern_cursor(since):
        return ""
    *_, last = "", *parse_pattern_cursor(since, "since").moved
    return last


def _encode(page: SelectionPage) -> bytes:
    fields = {
        "events": [orjson.Fragment(event_json(event)) for event in page.events],
        "gaps": [{"channel": channel, **gap_fields(gap)} for channel, gap in page.gaps],
    }
    return orjson.dumps(fields | _fields(page))


def _fields(page: SelectionPage) -> dict[str, Any]:
    """The fields of a page besides its events and gaps."""
    fields: dict[str, Any] = {"position": str(page.cursor), "more": page.more}
    if page.failure is not None:
        channel, failure = page.failure
        fields["filter_failed"] = {"channel": channel, **failure._asdict()}
    return fields
