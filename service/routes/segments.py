"""Segments: uploaded lists of units, as large as they come, and rules with a name."""

from __future__ import annotations

import asyncio
from typing import Annotated, ClassVar

import msgspec
from litestar import Controller, Response, delete, get, put
from litestar.params import JSONBody
from msgspec import Meta

from models.errors import CapacityError
from service.control.precondition import Precondition
from service.control.upload import BadLine, MemberReader
from service.control.writing import Change
from service.middleware.access import needs, principal_of
from service.rollouts.conditions import Condition
from service.rollouts.fields import Name
from service.rollouts.segment import Segment
from service.routes.documents import (
    AnyRequest,
    IfMatch,
    IfNoneMatch,
    PathId,
    created,
    delete_document,
    get_document,
    list_documents,
    problems,
    put_document,
)
from service.services import Services, services_of

PIECE_BYTES = 1 << 18
"""Read at a time in a thread, some 10 ms of work, so that other requests go on."""


class Segments(msgspec.Struct, frozen=True, kw_only=True):
    """All segments that are uploaded or made by a rule, by key."""

    segments: list[Segment]


class RuleBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is in a segment."""

    rule: Condition


class Uploaded(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an upload; `received` is the sum of the other three counts."""

    segment: Segment
    received: Annotated[int, Meta(description="lines with something in them, without the header")]
    accepted: Annotated[int, Meta(description="members of the list now")]
    duplicate: int
    rejected: int
    reasons: Annotated[dict[str, int], Meta(description="rejected lines by what is wrong")]
    errors: Annotated[list[BadLine], Meta(description="the first 20 rejected lines")]


class SegmentController(Controller):
    """Uploaded lists of units, for audiences."""

    path = "/v1/segments"
    tags: ClassVar[list[str]] = ["rollouts"]  # type: ignore[misc]  # Litestar's own is of the instance
    opt = needs("merchandiser")

    @get(
        operation_id="listSegments",
        summary="List segments",
        responses=problems(),
        sync_to_thread=True,
    )
    def list_all(self, request: AnyRequest) -> Segments:
        """List all segments, by key; lists without their members."""
        return Segments(segments=list_documents(request, "segment", Segment))

    @get(
        "/{segment_key:str}",
        operation_id="getSegment",
        summary="Read a rule, or what is known of an uploaded list",
        responses=problems(404),
        sync_to_thread=True,
    )
    def read(self, request: AnyRequest, segment_key: PathId) -> Response[Segment]:
        """Read one, without its members; the ETag is its revision."""
        return get_document(request, "segment", segment_key, Segment)

    @put(
        "/{segment_key:str}",
        operation_id="putSegment",
        summary="Make a segment by a rule, or change it",
        status_code=200,
        responses=created(Segment) | problems(404, 409, 412),
        sync_to_thread=True,
    )
    def put_rule(
        self,
        request: AnyRequest,
        segment_key: PathId,
        data: JSONBody[RuleBody],
        if_match: IfMatch = None,
        if_none_match: IfNoneMatch = None,
    ) -> Response[Segment]:
        """Name an audience, so that many documents may ask for it and it is changed in one place.

        It may ask about the context, uploaded lists, segments of the model and intents.
        """
        return put_document(
            request,
            "segment",
            msgspec.convert(segment_key, Name),
            Segment(rule=data.rule),
            if_match=if_match,
            if_none_match=if_none_match,
        )

    @put(
        "/{segment_key:str}/members",
        operation_id="putSegmentMembers",
        summary="Upload a list, or replace it",
        status_code=200,
        request_max_body_size=None,
        responses=problems(409, 412, 413, 429),
    )
    async def replace(
        self, request: AnyRequest, segment_key: PathId, if_match: IfMatch = None
    ) -> Response[Uploaded]:
        """Take a CSV with a header, or JSON Lines, also gzipped; the content type is not asked.

        The column `user_id` or `anonymous_id` holds the ids. They are pseudonymised on arrival and
        kept as that only. The list is replaced whole or not at all: more than 5 % of wrong lines
        are 400, and change nothing. It is in effect in every worker within a second.
        """
        services = services_of(request)
        change = Change(
            "segment",
            msgspec.convert(segment_key, Name),
            principal_of(request).key_id,
            Precondition.from_headers(if_match, None),
        )
        if services.uploads.locked():
            raise CapacityError("this worker reads another list; try again when it is done")
        async with services.uploads:
            reader = await _read(request, services)
            uploaded = await asyncio.to_thread(_store, services, change, reader)
        headers = {"ETag": f'"{uploaded.segment.revision}"'}
        return Response(uploaded, headers=headers)

    @delete(
        "/{segment_key:str}",
        operation_id="deleteSegment",
        summary="Delete a segment",
        responses=problems(404, 409, 412),
        sync_to_thread=True,
    )
    def remove(self, request: AnyRequest, segment_key: PathId, if_match: IfMatch = None) -> None:
        """Delete it; 409 while an audience asks about it."""
        delete_document(request, "segment", segment_key, if_match=if_match)


async def _read(request: AnyRequest, services: Services) -> MemberReader:
    reader = MemberReader(
        services.pseudonymiser,
        max_bytes=services.settings.segment_limit_bytes,
        max_members=services.settings.segment_limit_members,
    )
    pieces = bytearray()
    async for piece in request.stream():
        pieces += piece
        if len(pieces) >= PIECE_BYTES:
            await asyncio.to_thread(reader.feed, bytes(pieces))
            pieces.clear()
    await asyncio.to_thread(reader.feed, bytes(pieces))
    return reader


def _store(services: Services, change: Change, reader: MemberReader) -> Uploaded:
    numbers = reader.finish()
    assert reader.unit is not None
    n_members = len(numbers)
    content = services.segment_files.write(change.id, numbers)
    segment = Segment(unit=reader.unit, n_members=n_members, content=content)
    stored = services.control.put(change, segment).document
    assert isinstance(stored, Segment)
    return Uploaded(
        segment=stored,
        received=reader.n_received,
        accepted=n_members,
        duplicate=reader.n_received - reader.n_rejected - n_members,
        rejected=reader.n_rejected,
        reasons=dict(reader.reasons),
        errors=reader.shown,
    )
