"""The JSON Schema of a pydantic model's events as they are stored and delivered."""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import DataclassField, ModelField, TypedDictField


class StoredJsonSchema(GenerateJsonSchema):
    """For `mode="serialization"` with `exclude_unset`: a field that was not sent is not written."""

    def field_is_required(
        self,
        field: ModelField | DataclassField | TypedDictField,
        total: bool,  # noqa: FBT001  # as in pydantic
    ) -> bool:
        """A field with a default is not required, whatever the model says: it is not written."""
        if field["type"] == "typed-dict-field":
            return field.get("required", total) and super().field_is_required(field, total)
        return field["schema"]["type"] != "default" and super().field_is_required(field, total)

    def ser_schema(self, schema: Any) -> JsonSchemaValue | None:
        """Any JSON for a serializer without a return type: it may return anything."""
        if (
            schema["type"] in ("function-plain", "function-wrap")
            and schema.get("return_schema") is None
        ):
            return {}
        return super().ser_schema(schema)
