"""Errors of limits that several transports share. Each names the setting that bounds it."""

from eventhub.errors import PayloadTooLarge, RequestTimeout
from eventhub.server.connections.liveness import LEAST_RATE


def too_large(what: str, setting: str, limit: int) -> PayloadTooLarge:
    """Something is too large. `what` says how large, such as "the body has 70000 bytes"."""
    return PayloadTooLarge(
        f"{what}; at most {limit} bytes are allowed (limits.{setting})"
    ).with_limit(setting)


def too_slow(what: str, seconds: float) -> RequestTimeout:
    """A body or message, `what`, arrives too slowly."""
    return RequestTimeout(
        f"{what} was not complete after {seconds:g} seconds, "
        f"and a second more for each {LEAST_RATE} bytes of it (limits.body_seconds)"
    ).with_limit("body_seconds")


def no_first_message(seconds: float) -> RequestTimeout:
    """A WebSocket has neither sent a command nor named a channel in its address."""
    return RequestTimeout(
        f"no message came within {seconds:g} seconds and the address names no channel; "
        "expected a command, or ?channel=… (limits.first_frame_seconds)"
    ).with_limit("first_frame_seconds")
