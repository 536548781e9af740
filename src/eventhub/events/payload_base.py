"""What the built-in payload models have in common."""

from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from eventhub.common.timestamps import TIMESTAMP_LENGTH, check_timestamp

Text64 = Annotated[str, Field(min_length=1, max_length=64)]
Timestamp = Annotated[
    str,
    Field(max_length=TIMESTAMP_LENGTH, json_schema_extra={"format": "date-time"}),
    AfterValidator(check_timestamp),
]


class Payload(BaseModel):
    """The base of the built-in payloads.

    `conflation_key` names a field, for `slow: latest` of channel types without a `key`.
    """

    model_config = ConfigDict(extra="forbid", strict=True)
    conflation_key: ClassVar[str | None] = None
