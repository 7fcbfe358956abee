"""POST /v1/events: what shoppers did, one event or many, acknowledged when it is on disk."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from litestar import post
from litestar._openapi.schema_generation import SchemaCreator
from litestar.dto import AbstractDTO, DTOConfig
from litestar.openapi.spec import Reference, Schema
from litestar.params import JSONBody, QueryParameter
from litestar.typing import FieldDefinition

from models.events import Event
from service.intake.body import Arrival, read_events, unpack
from service.intake.cloud_events import is_cloud_event, read_cloud_events
from service.intake.identify import MAX_AT_MS
from service.middleware.access import beacons, needs
from service.routes.documents import AnyRequest, problems
from service.routes.verdicts import Verdicts, take_in
from service.services import services_of

SentAt = Annotated[
    int | None,
    QueryParameter(
        required=False,
        ge=0,
        le=MAX_AT_MS,
        description="when the body is sent, in epoch ms by the clock that the timestamps are of: "
        "they are moved by what that clock is ahead or behind",
    ),
]


class EventsBody(AbstractDTO[Any]):
    """Litestar's hook between the bytes of a body and the events in it."""

    config: ClassVar[DTOConfig] = DTOConfig()

    @classmethod
    def create_for_field_definition(
        cls, field_definition: FieldDefinition, handler_id: str, backend_cls: Any = None
    ) -> None:
        """Need nothing prepared."""

    @classmethod
    def create_openapi_schema(
        cls, field_definition: FieldDefinition, handler_id: str, schema_creator: SchemaCreator
    ) -> Reference | Schema:
        """Describe what may be sent, which is not what the handler gets."""
        return schema_creator.for_field_definition(
            FieldDefinition.from_annotation(Event | list[Event])
        )

    def decode_bytes(self, value: bytes) -> list[Arrival]:
        """Decode a body, packed or not."""
        limit = services_of(self.asgi_connection).settings.body_limit_bytes
        headers = self.asgi_connection.headers
        if is_cloud_event(headers):
            return read_cloud_events(unpack(value, limit), headers)
        return read_events(value, limit)

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Any:
        """Not used: the structs describe themselves."""
        raise NotImplementedError

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:
        """Not used: the structs describe themselves."""
        raise NotImplementedError


@post(
    "/v1/events",
    operation_id="postEvents",
    summary="Store what shoppers did",
    tags=["events"],
    status_code=202,
    opt={**needs("server"), **beacons("key")},
    dto=EventsBody,
    responses=problems(413, 429, 503),
)
async def post_events(
    request: AnyRequest,
    data: JSONBody[list[Arrival] | None] = None,
    *,
    sent_at: SentAt = None,
) -> Verdicts:
    """Store one event, a JSON array of events, or one event a line (JSON Lines); gzip is fine.

    CloudEvents are told by their content type or headers; else the content type is not asked. A
    beacon may send a publishable key as the parameter `key` of the query. The answer comes when
    everything accepted is on disk, and says for each event what became of it: a wrong one does not
    spoil the others. Send an event again under the same `event_id` as often as you like: it is
    stored once. 400 says that nothing in the body could be stored; 429 and 503 when to send it
    again.
    """
    arrivals = data if data is not None else read_events(b"")
    return await take_in(request, arrivals, sent_ms=sent_at)
