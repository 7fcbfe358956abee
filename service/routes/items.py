"""Statuses of items: out of stock or hidden, from now on and until the catalogue says otherwise."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from litestar import Controller, Response, get, patch
from litestar.params import JSONBody

from service.control.documents import ItemStatus
from service.middleware.access import needs
from service.routes.documents import (
    AnyRequest,
    IfMatch,
    Patch,
    PathId,
    list_documents,
    patch_document,
    path_id_with_slashes,
    problems,
)


class ItemStatuses(msgspec.Struct, frozen=True, kw_only=True):
    """All statuses that are set, by item id."""

    items: list[ItemStatus]


class ItemController(Controller):
    """Statuses of items."""

    path = "/v1/items"
    tags: ClassVar[list[str]] = ["items"]  # type: ignore[misc]  # Litestar's own is of the instance
    opt = needs("merchandiser")

    @get(
        operation_id="listItemStatuses",
        summary="List items with a status",
        responses=problems(),
        sync_to_thread=True,
    )
    def list_all(self, request: AnyRequest) -> ItemStatuses:
        """List what is set; an item without a status is as the catalogue says."""
        return ItemStatuses(items=list_documents(request, "item", ItemStatus))

    @patch(
        "/{item_id:path}",
        operation_id="patchItemStatus",
        summary="Hide an item or set whether it can be bought",
        responses=problems(412, 413),
        sync_to_thread=True,
    )
    def change(
        self, request: AnyRequest, item_id: PathId, data: JSONBody[Patch], if_match: IfMatch = None
    ) -> Response[ItemStatus]:
        """Set `hidden` or `available`; in effect everywhere within a second.

        The item need not be known yet. `{"available": null}` takes the catalogue's word again.
        """
        return patch_document(
            request,
            "item",
            path_id_with_slashes(request, "/v1/items/"),
            data,
            ItemStatus,
            if_match=if_match,
            create=True,
        )
