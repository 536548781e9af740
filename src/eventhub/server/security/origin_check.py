"""Decides which web pages may connect. Without it, any page could act in its visitor's name."""

import time
from collections.abc import Callable, Mapping, Sequence

import structlog

from eventhub.common.origin import OPAQUE, Origins, is_of_host, parse_origin
from eventhub.errors import OriginNotAllowed
from eventhub.observability.log_setup import printable

ELSEWHERE = (b"cross-site", b"same-site")
"""Sec-Fetch-Site of other origins (Fetch Metadata, 2.3): same-site is another port of this host."""
AHEAD = (b"sec-purpose", b"purpose", b"x-moz", b"x-purpose")
"""Headers with which browsers mark a prefetch (Fetch, 3.8)."""
AGAIN_SECONDS = 600.0
"""After this time a refused origin is logged again."""
REMEMBERED = 100
"""Refused origins logged in that time at most."""

log = structlog.get_logger("eventhub.origins")


class OriginCheck:
    """The check of RFC 6455, 10.2, for every transport. `clock` returns seconds."""

    def __init__(
        self, patterns: Sequence[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.listed = Origins(patterns)
        self._clock = clock
        self._logged: dict[str, float] = {}  # when, by origin; the oldest first

    def check(self, headers: Mapping[bytes, bytes]) -> None:
        """Raise OriginNotAllowed for a prefetch and for a page of an unlisted foreign origin."""
        for name in AHEAD:
            if headers.get(name, b"").startswith((b"prefetch", b"preview")):
                raise OriginNotAllowed(
                    "the browser prefetches this; expected a request that a visitor caused"
                )
        if (origin := headers.get(b"origin")) is None:
            # <img src="…/sse?member=eve"> and a link send no Origin, and eve would appear in
            # presence.
            if headers.get(b"sec-fetch-site") in ELSEWHERE and not self.listed.any:
                raise OriginNotAllowed(
                    "a page of another origin sent this request without an Origin; "
                    "expected a CORS request"
                )
            return
        text, host = origin.decode("latin-1"), headers.get(b"host", b"").decode("latin-1")
        parsed = parse_origin(text)
        if not (parsed is not None and is_of_host(parsed, host)) and not self.listed.cover(text):
            self._note(text, host)
            hint = ", which files and sandboxed frames of any page have" if text == OPAQUE else ""
            raise OriginNotAllowed(
                f"the page's origin is {text[:200]!r}{hint}; expected that of the host "
                f"{host[:80]!r}, for which the request is, "
                "or one that `origins` in the configuration lists"
            )

    def _note(self, origin: str, host: str) -> None:
        """Log a refused origin for the operator: browsers do not tell their users why."""
        now = self._clock()
        while self._logged and now - next(iter(self._logged.values())) >= AGAIN_SECONDS:
            del self._logged[next(iter(self._logged))]
        shown = origin[:200]
        if shown not in self._logged and len(self._logged) < REMEMBERED:
            self._logged[shown] = now
            log.warning(
                "origin_refused",
                origin=printable(shown),
                host=printable(host[:200]),
                setting="origins",
            )
