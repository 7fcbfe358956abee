"""What is kept of people: the notice, a person's copy, and being forgotten."""

from __future__ import annotations

import asyncio
from typing import Annotated

from litestar import delete, get
from litestar.params import PathParameter, QueryParameter

from models.ids import check_id
from service.middleware.access import needs, principal_of
from service.privacy.control_erasure import ControlErasure
from service.privacy.erase import Receipt, erase_person
from service.privacy.export import PersonalData, export_person
from service.privacy.notice import Notice, notice
from service.rollouts.bucketing import UnitKind
from service.routes.documents import AnyRequest, path_id_with_slashes, problems
from service.services import services_of

Kind = Annotated[
    UnitKind, QueryParameter(description="whether the id is a user's or an anonymous visitor's")
]

PersonId = Annotated[
    str, PathParameter(description="the shop's own id, percent-encoded, slashes too")
]


@get(
    "/v1/privacy",
    operation_id="getPrivacyNotice",
    summary="Say what is captured of people, and how long",
    tags=["privacy"],
    opt=needs("publishable"),
    responses=problems(),
    sync_to_thread=False,
)
def read_notice(request: AnyRequest) -> Notice:
    """Say in plain language what is captured of people, why, and how long it is kept."""
    return notice(services_of(request).settings.kept_days)


@get(
    "/v1/users/{external_id:path}",
    operation_id="exportUser",
    summary="Copy all that is kept of a person",
    tags=["privacy"],
    opt=needs("admin"),
    responses=problems(503),
    sync_to_thread=True,
)
def export_user(request: AnyRequest, external_id: PersonId, kind: Kind = "user_id") -> PersonalData:
    """Return every row and model entry of a person; empty lists for one who is not known."""
    services = services_of(request)
    return export_person(
        services.settings.home,
        services.control_store,
        services.pseudonymiser,
        kind,
        _id_of(request, kind),
        events=services.settings.event_log,
    )


@delete(
    "/v1/users/{external_id:path}",
    operation_id="eraseUser",
    summary="Forget a person",
    tags=["privacy"],
    opt=needs("admin"),
    responses=problems(503),
    status_code=200,
)
async def erase_user(request: AnyRequest, external_id: PersonId, kind: Kind = "user_id") -> Receipt:
    """Erase a person everywhere and answer a receipt; it takes a second, and longer for long logs.

    Events, exposures, identities, running sums, model versions, forced units, uploaded lists, the
    audit trail, and the memory of every worker process.
    """
    return await asyncio.to_thread(forget_person, request, kind, _id_of(request, kind))


def _id_of(request: AnyRequest, kind: UnitKind) -> str:
    """Read the id as it was sent: it may have slashes, and no other bytes mean the same person."""
    return check_id(path_id_with_slashes(request, "/v1/users/"), kind)


def forget_person(request: AnyRequest, kind: UnitKind, external_id: str) -> Receipt:
    """Erase a person for whoever asks; blocking.

    Raises
    ------
    EndcapError
        If a place cannot be written; what was erased before stays erased: ask again.
    """
    services = services_of(request)
    control = ControlErasure(
        store=services.control_store,
        plane=services.control,
        segment_files=services.segment_files,
        actor=principal_of(request).key_id,
        now_ms=services.now_ms,
    )
    return erase_person(
        services.settings.home,
        services.pseudonymiser,
        kind,
        external_id,
        control=control,
        events=services.settings.event_log,
    )
