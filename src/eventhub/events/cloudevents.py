"""CloudEvents 1.0.2 as publishers send them: checked, and taken apart for the log. No I/O.

An event that came as a CloudEvent has the attribute `specversion`. Its extensions are stored as
the JSON of an object, so that they keep their types.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson

from eventhub.common.strict_json import dump, parse
from eventhub.common.timestamps import check_timestamp
from eventhub.errors import InvalidEvent, InvalidJson
from eventhub.events.event import ATTRIBUTE_LENGTH, EXTENSIONS

SPECVERSION = "specversion"
VERSION = "1.0"
REQUIRED = (SPECVERSION, "id", "source", "type")
OPTIONAL = ("datacontenttype", "dataschema", "subject", "time", "traceparent")
"""`traceparent` is an extension that EventHub knows as an attribute of every event."""
ENCODING = "datacontentencoding"
"""The stored attribute that says `base64` of data that is no JSON and no text."""
OWN = "eventhub"
"""Extensions whose names begin so say where an event stands. They are the server's: those of a
publisher, such as another EventHub, are not stored.
"""
NAME_LENGTH = 64
EXTENSION_LENGTH = 1024
MOST_EXTENSIONS = 32
_NAME = re.compile(rf"[a-z0-9]{{1,{NAME_LENGTH}}}")
_NO_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_URI = re.compile(
    r"(?:[A-Za-z][A-Za-z0-9+.-]*:|(?=[^:]*(?:[/?#]|$)))"
    r"(?:[A-Za-z0-9._~:/?@!$&'()*+,;=\[\]-]|%[0-9A-Fa-f]{2})*"
    r"(?:#(?:[A-Za-z0-9._~:/?@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)?"
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:.")
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA_TYPE = re.compile(rf"{_WORD}/{_WORD}[ \t]*(?:;[\t -~]*)?")
_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([^\s\";]+)", re.IGNORECASE)
_INTEGER_END = 2**31


class CloudEvent(NamedTuple):
    """What is stored of a CloudEvent.

    `data` is the JSON of its payload. `key` is the idempotency key: source and id name the event.
    """

    attributes: dict[str, str]
    data: bytes
    key: str


def of_json(value: Any) -> CloudEvent:
    """A CloudEvent in the JSON format. Raises InvalidEvent."""
    if not isinstance(value, dict):
        raise InvalidEvent(
            "the CloudEvent is no JSON object; expected one with specversion, id, source and type"
        )
    fields = {name: each for name, each in value.items() if each is not None}
    data, encoded = fields.pop("data", None), fields.pop("data_base64", None)
    attributes = checked_attributes(fields)
    if encoded is None:
        return _event(attributes, dump(data))
    if data is not None:
        raise fault("data_base64", "stands together with data; expected one of them")
    return _event(attributes, _of_base64(attributes, encoded))


def of_bytes(attributes: dict[str, str], body: bytes) -> CloudEvent:
    """A CloudEvent whose data are these bytes. The attributes are checked. Raises InvalidEvent."""
    content_type = attributes.get("datacontenttype")
    if not body:
        return _event(attributes, b"null")
    if is_json(content_type):
        return _event(attributes, body)
    assert content_type is not None
    if (text := _text(content_type, body)) is not None:
        return _event(attributes, dump(text))
    return _event({**attributes, ENCODING: "base64"}, dump(b64encode(body).decode()))


def json_of(attributes: Mapping[str, str], data: bytes) -> bytes:
    """A CloudEvent in the JSON format, of what is stored of it."""
    fields: dict[str, Any] = orjson.loads(attributes.get(EXTENSIONS, "{}"))
    fields |= {name: attributes[name] for name in (*REQUIRED, *OPTIONAL) if name in attributes}
    member = b"data_base64" if attributes.get(ENCODING) == "base64" else b"data"
    return b'%b,"%b":%b}' % (dump(fields)[:-1], member, data)


def checked_attributes(fields: Mapping[str, Any]) -> dict[str, str]:
    """The attributes to store for these context attributes, none of which is null.

    Raises InvalidEvent.
    """
    for name in REQUIRED:
        if name not in fields:
            raise fault(name, f"is missing; expected a CloudEvent with {', '.join(REQUIRED)}")
    if fields[SPECVERSION] != VERSION:
        shown = repr(fields[SPECVERSION])[:40]
        raise fault(SPECVERSION, f"is {shown}; expected {VERSION!r}")
    attributes: dict[str, str] = {}
    extensions: dict[str, str | bool | int] = {}
    for name, value in fields.items():
        if name in REQUIRED or name in OPTIONAL:
            attributes[name] = _core(name, value)
        elif not name.startswith(OWN):
            extensions[name] = _extension(name, value)
    if len(extensions) > MOST_EXTENSIONS:
        raise InvalidEvent(
            f"the CloudEvent has {len(extensions)} extensions; expected at most {MOST_EXTENSIONS}"
        )
    if extensions:
        attributes[EXTENSIONS] = orjson.dumps(extensions).decode()
    return attributes


def fault(name: str, why: str) -> InvalidEvent:
    """The error for an attribute of a CloudEvent."""
    shown = name[:NAME_LENGTH]
    return InvalidEvent(
        f"the CloudEvent's {shown} {why}", [{"pointer": f"/{shown}", "message": why}]
    )


def is_json(content_type: str | None) -> bool:
    """Whether data of this media type are JSON (CloudEvents JSON format, 3.1)."""
    if content_type is None:
        return True
    media_type = media_type_of(content_type)
    return media_type.endswith(("/json", "+json"))


def is_uri_reference(text: str) -> bool:
    """Whether the characters are those of a URI reference (RFC 3986, 4.1), and there is one."""
    return bool(text) and _URI.fullmatch(text) is not None


def media_type_of(content_type: str) -> str:
    """The media type in lower case, without parameters."""
    return content_type.partition(";")[0].strip().lower()


def _event(attributes: dict[str, str], data: bytes) -> CloudEvent:
    name = f"{attributes['source']}\n{attributes['id']}".encode()
    # The space makes it different from every producer's key.
    return CloudEvent(attributes, data, f"ce {blake2b(name, digest_size=24).hexdigest()}")


def _core(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise fault(name, f"is no string but {_kind(value)}; expected a string")
    if not 1 <= len(value) <= ATTRIBUTE_LENGTH:
        raise fault(name, f"has {len(value)} characters; expected 1 to {ATTRIBUTE_LENGTH}")
    _check_text(name, value)
    if name == "time":
        try:
            check_timestamp(value)
        except ValueError as error:
            raise fault(name, f"is {value[:40]!r}; {error}") from None
    elif name == "source" and not is_uri_reference(value):
        raise fault(name, f"is {value[:80]!r}; expected a URI reference (RFC 3986), as in '/api'")
    elif name == "dataschema" and not (is_uri_reference(value) and _SCHEME.match(value)):
        raise fault(name, f"is {value[:80]!r}; expected an absolute URI (RFC 3986, 4.3)")
    elif name == "datacontenttype" and not _MEDIA_TYPE.fullmatch(value):
        raise fault(name, f"is {value[:80]!r}; expected a media type, such as application/json")
    return value


def _extension(name: str, value: Any) -> str | bool | int:
    if not _NAME.fullmatch(name) or name == "data":
        raise fault(
            name, f"has a name that is not allowed; expected 1 to {NAME_LENGTH} of a-z and 0-9"
        )
    if isinstance(value, str):
        if len(value) > EXTENSION_LENGTH:
            raise fault(name, f"has {len(value)} characters; expected at most {EXTENSION_LENGTH}")
        _check_text(name, value)
        return value
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        if not -_INTEGER_END <= value < _INTEGER_END:
            raise fault(name, "is an integer that does not fit into 32 bits; send it as a string")
        return value
    raise fault(name, f"is {_kind(value)}; expected a string, a boolean or an integer")


def _check_text(name: str, text: str) -> None:
    if (found := _NO_TEXT.search(text)) is not None:
        raise fault(
            name,
            f"has the character U+{ord(found[0]):04X} at {found.start()}; expected none that is"
            " a control character, a surrogate or no character",
        )


def _of_base64(attributes: dict[str, str], encoded: Any) -> bytes:
    """The JSON of the payload. JSON that was sent as base64 is JSON again."""
    try:
        if not isinstance(encoded, str):
            raise ValueError
        found = b64decode(encoded.encode("ascii"), validate=True)
    except (ValueError, Base64Error):
        raise fault("data_base64", "is not base64; expected a string (RFC 4648, 4)") from None
    content_type = attributes.get("datacontenttype")
    if content_type is not None and is_json(content_type):
        try:
            return dump(parse(found))
        except InvalidJson as error:
            raise fault("data_base64", f"is no JSON, which its type says: {error}") from None
    attributes[ENCODING] = "base64"
    return dump(encoded)


def _text(content_type: str, body: bytes) -> str | None:
    """The body as text; None if it is none in UTF-8."""
    charset = _CHARSET.search(content_type)
    if charset is not None and charset[1].lower() not in ("utf-8", "utf8", "us-ascii"):
        return None
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def _kind(value: Any) -> str:
    kinds = {bool: "a boolean", int: "a number", float: "a number", list: "an array"}
    return kinds.get(type(value), "an object" if isinstance(value, dict) else "a string")
