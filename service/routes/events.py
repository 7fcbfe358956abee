"""POST /v1/events: what shoppers did, one event or many, acknowledged when it is on disk."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from litestar import post
from litestar._openapi.schema_generation import SchemaCreator
from litestar.dto import AbstractDTO, DTOConfig
from litestar.openapi.spec import Reference, Schema
from litestar.params import JSONBody
from litestar.typing import FieldDefinition
from msgspec import Meta

from models.events import Event
from service.access import needs
from service.intake.body import Arrival, WrongEvent, read_events
from service.intake.identify import FieldError as WrongFieldError
from service.intake.identify import store_form
from service.problems import BodyError, FieldError
from service.routes.documents import AnyRequest, problems
from service.services import Services, services_of
from service.stores.events import StoredEvent

MAX_SHOWN_ERRORS = 20
"""Mistakes that a refusal lists."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one event."""

    event_id: Annotated[str | None, Meta(description="as sent; null if it could not be read")]
    status: Annotated[
        Literal["accepted", "duplicate", "rejected"],
        Meta(description="stored now; stored before, and not again; wrong, and not stored"),
    ]
    path: Annotated[str | None, Meta(description="where the mistake is: `$[3].price`")] = None
    message: Annotated[str | None, Meta(description="which rule is broken")] = None


class Verdicts(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a body's events; `received` is the sum of the other three counts."""

    received: int
    accepted: int
    duplicate: int
    rejected: int
    events: Annotated[list[Verdict], Meta(description="in the order in which they came")]


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
    opt=needs("publishable"),
    dto=EventsBody,
    responses=problems(413, 429, 503),
)
async def post_events(request: AnyRequest, data: JSONBody[list[Arrival] | None] = None) -> Verdicts:
    """Store one event, a JSON array of events, or one event a line (JSON Lines); gzip is fine.

    The content type is not asked. The answer comes when everything accepted is on disk, and says
    for each event what became of it: a wrong one does not spoil the others. Send an event again
    under the same `event_id` as often as you like: it is stored once. 400 says that nothing in the
    body could be stored; 429 and 503 that nothing was, and when to send it again.
    """
    services = services_of(request)
    judged = _identify(services, data if data is not None else read_events(b""))
    fresh = [event for event in judged if isinstance(event, StoredEvent)]
    is_new = iter(
        await services.intake.events.submit(
            fresh, n_received=len(judged), n_rejected=len(judged) - len(fresh)
        )
    )
    if judged and not fresh:
        raise _nothing_stored([event for event in judged if isinstance(event, WrongEvent)])
    verdicts = [
        Verdict(event_id=event.event_id, status="accepted" if next(is_new) else "duplicate")
        if isinstance(event, StoredEvent)
        else Verdict(
            event_id=event.event_id, status="rejected", path=event.path, message=event.message
        )
        for event in judged
    ]
    n_accepted = sum(verdict.status == "accepted" for verdict in verdicts)
    return Verdicts(
        received=len(judged),
        accepted=n_accepted,
        duplicate=len(fresh) - n_accepted,
        rejected=len(judged) - len(fresh),
        events=verdicts,
    )


def _identify(services: Services, arrivals: list[Arrival]) -> list[StoredEvent | WrongEvent]:
    received_ms = services.now_ms()
    judged: list[StoredEvent | WrongEvent] = []
    for path, event in arrivals:
        if isinstance(event, WrongEvent):
            judged.append(event)
            continue
        try:
            judged.append(
                store_form(event, pseudonymiser=services.pseudonymiser, received_ms=received_ms)
            )
        except WrongFieldError as error:
            judged.append(WrongEvent(event.event_id, f"{path}.{error.name}", error.message))
    return judged


def _nothing_stored(wrong: list[WrongEvent]) -> BodyError:
    first = wrong[0]
    rest = f", and {len(wrong) - 1} more events are wrong" if len(wrong) > 1 else ""
    return BodyError(
        f"no event was stored: {first.path}: {first.message}{rest}; see /schema",
        tuple(
            FieldError(path=event.path, message=event.message) for event in wrong[:MAX_SHOWN_ERRORS]
        ),
    )
