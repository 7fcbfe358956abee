"""Placements as documents: the slots of the shop's pages; `service.routes.serve` fills them."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from litestar import Response, delete, get, patch, put
from litestar.params import JSONBody

from service.control.documents import Placement
from service.middleware.access import needs
from service.routes.documents import (
    AnyRequest,
    IfMatch,
    IfNoneMatch,
    Patch,
    PathId,
    created,
    delete_document,
    get_document,
    list_documents,
    patch_document,
    problems,
    put_document,
)
from service.routes.serve import PlacementServing


class Placements(msgspec.Struct, frozen=True, kw_only=True):
    """All placements, by id."""

    placements: list[Placement]


class PlacementController(PlacementServing):
    """Placements as documents: the slots of the shop's pages; `service.routes.serve` fills them."""

    path = "/v1/placements"
    tags: ClassVar[list[str]] = ["placements"]  # type: ignore[misc]  # Litestar's own is of the instance
    opt = needs("merchandiser")

    @get(
        operation_id="listPlacements",
        summary="List placements",
        responses=problems(),
        sync_to_thread=True,
    )
    def list_all(self, request: AnyRequest) -> Placements:
        """List all placements, by id."""
        return Placements(placements=list_documents(request, "placement", Placement))

    @get(
        "/{placement_id:str}/config",
        operation_id="getPlacement",
        summary="Read a placement",
        responses=problems(404),
        sync_to_thread=True,
    )
    def read(self, request: AnyRequest, placement_id: PathId) -> Response[Placement]:
        """Read one as it is stored; the ETag is its revision."""
        return get_document(request, "placement", placement_id, Placement)

    @put(
        "/{placement_id:str}",
        operation_id="putPlacement",
        summary="Create or replace a placement",
        responses=created(Placement) | problems(412, 413),
        sync_to_thread=True,
    )
    def replace(
        self,
        request: AnyRequest,
        placement_id: PathId,
        data: JSONBody[Placement],
        if_match: IfMatch = None,
        if_none_match: IfNoneMatch = None,
    ) -> Response[Placement]:
        """Create (201) or replace (200). What the body leaves out takes its default."""
        return put_document(
            request, "placement", placement_id, data, if_match=if_match, if_none_match=if_none_match
        )

    @patch(
        "/{placement_id:str}",
        operation_id="patchPlacement",
        summary="Change a placement",
        responses=problems(404, 412, 413),
        sync_to_thread=True,
    )
    def change(
        self,
        request: AnyRequest,
        placement_id: PathId,
        data: JSONBody[Patch],
        if_match: IfMatch = None,
    ) -> Response[Placement]:
        """Change some fields with a JSON Merge Patch (RFC 7396).

        What the patch leaves out stays; null takes a field back to its default.
        """
        return patch_document(
            request, "placement", placement_id, data, Placement, if_match=if_match
        )

    @delete(
        "/{placement_id:str}",
        operation_id="deletePlacement",
        summary="Delete a placement",
        responses=problems(404, 412),
        sync_to_thread=True,
    )
    def remove(self, request: AnyRequest, placement_id: PathId, if_match: IfMatch = None) -> None:
        """Delete it; its history stays in the audit trail."""
        delete_document(request, "placement", placement_id, if_match=if_match)
