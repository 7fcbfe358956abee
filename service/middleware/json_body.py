"""How a request's body becomes a struct: strict, in one pass, with the place of a mistake.

A handler that takes ``data: SomeStruct`` gets it through this DTO, whatever the content type says.
"""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

import msgspec
from litestar._openapi.schema_generation import SchemaCreator
from litestar.dto import AbstractDTO, DTOConfig
from litestar.openapi.spec import Reference, Schema
from litestar.typing import FieldDefinition

from service.middleware.problems import BodyError, FieldError
from service.rollouts.json_place import find_place, split_message
from service.rollouts.short_times import SAID, TIME_RULE, with_seconds

Struct = TypeVar("Struct")

_MAX_SHOWN = 60
_GZIP_MAGIC = b"\x1f\x8b"
_PACKED = (
    "the body is compressed with gzip, which is for events and uploaded lists only; "
    "send one JSON value in UTF-8, uncompressed"
)


def decode_json(body: bytes, decoder: msgspec.json.Decoder[Struct]) -> Struct:
    """Decode a body.

    Raises
    ------
    BodyError
        If it is not JSON, nested too deeply, or breaks a rule; it says where and which.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        return _decode_again(body, decoder, error)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if body.startswith(_GZIP_MAGIC):
            raise BodyError(_PACKED) from error
        raise _not_json(error) from error
    except RecursionError as error:
        raise BodyError("the body is nested too deeply; send fewer levels") from error


def broken_rule(value: object, error: msgspec.ValidationError) -> BodyError:
    """Say which rule a value broke that was built here, such as the result of a merge."""
    return _at_place(value, str(error))


class JsonBody(AbstractDTO[Any]):
    """Litestar's hook between the bytes of a body and the handler's ``data``."""

    config: ClassVar[DTOConfig] = DTOConfig()
    _decoders: ClassVar[dict[str, msgspec.json.Decoder[Any]]] = {}

    @classmethod
    def create_for_field_definition(
        cls, field_definition: FieldDefinition, handler_id: str, backend_cls: Any = None
    ) -> None:
        """Prepare a decoder for one handler."""
        cls._decoders[handler_id] = msgspec.json.Decoder(field_definition.raw)

    @classmethod
    def create_openapi_schema(
        cls, field_definition: FieldDefinition, handler_id: str, schema_creator: SchemaCreator
    ) -> Reference | Schema:
        """Describe the struct itself."""
        return schema_creator.for_field_definition(field_definition)

    def decode_bytes(self, value: bytes) -> Any:
        """Decode a body that is not empty."""
        return decode_json(value, self._decoders[self.asgi_connection.route_handler.handler_id])

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Any:
        """Not used: the struct describes itself."""
        raise NotImplementedError

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:
        """Not used: the struct describes itself."""
        raise NotImplementedError


def _decode_again(
    body: bytes, decoder: msgspec.json.Decoder[Struct], error: msgspec.ValidationError
) -> Struct:
    """Decode a body that broke a rule, if that was only to leave out seconds."""
    try:
        value = msgspec.json.decode(body)
    except UnicodeDecodeError as unreadable:  # in a value that the rule had no need to read
        raise _not_json(unreadable) from unreadable
    try:
        if split_message(str(error))[0] == TIME_RULE:
            return with_seconds(value, lambda whole: decoder.decode(msgspec.json.encode(whole)))
    except msgspec.ValidationError as other:
        error = other
    raise _at_place(value, str(error)) from error


def _not_json(error: Exception) -> BodyError:
    return BodyError(f"the body is not JSON: {error}; send one JSON value in UTF-8")


def _at_place(value: object, message: str) -> BodyError:
    rule, path = split_message(message)
    shown = _shown(value, path)
    if rule == TIME_RULE:
        rule = SAID
        named = f"{path} {shown} " if shown else f"{path} "
    else:
        named = f"{path} is {shown}: " if shown else f"{path}: "
    return BodyError(f"{named}{rule}; see /schema", (FieldError(path=path, message=rule),))


def _shown(value: Any, path: str) -> str:
    """Write the value at a path, cut to a length; nothing for the whole body or a lost path."""
    place = find_place(value, path)
    if place is None:
        return ""
    holder, step = place
    text = msgspec.json.encode(holder[step]).decode()
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"
