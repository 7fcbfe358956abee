"""The catalogue as the live model knows it: searched, item by item, and in numbers."""

from __future__ import annotations

from typing import Annotated, ClassVar

from litestar import Controller, get
from litestar.params import QueryParameter

from models.errors import NotFoundError
from service.catalogue.views import CatalogueSummary, FoundItems, ItemView, Status
from service.middleware.access import needs
from service.routes.documents import (
    AnyRequest,
    PathId,
    check_path_id,
    path_id_with_slashes,
    problems,
)
from service.routes.insights import Days
from service.services import services_of

MAX_LISTED = 200
MAX_OFFSET = 1_000_000

Words = Annotated[
    str,
    QueryParameter(
        required=False,
        max_length=200,
        description="parts of id, title, category or brand; every one has to be there",
    ),
]
Listed = Annotated[Status, QueryParameter(required=False, description="what is the matter")]
Offset = Annotated[int, QueryParameter(required=False, ge=0, le=MAX_OFFSET)]
Limit = Annotated[int, QueryParameter(required=False, ge=1, le=MAX_LISTED)]


class CatalogueController(Controller):
    """Items to look up; what is set about them is at ``/v1/items``."""

    path = "/v1/catalogue"
    tags: ClassVar[list[str]] = ["catalogue"]  # type: ignore[misc]  # Litestar's own is of the instance
    opt = needs("merchandiser")

    @get(
        operation_id="searchCatalogue",
        summary="Search the catalogue",
        responses=problems(404, 503),
        sync_to_thread=True,
    )
    def list_found(
        self,
        request: AnyRequest,
        *,
        search: Words = "",
        status: Listed = "all",
        days: Days = 28,
        offset: Offset = 0,
        limit: Limit = 50,
    ) -> FoundItems:
        """List items by popularity, those whose id or title is the search first.

        `cold` are items with fewer than 5 interactions, `unmatched` have no attribute at all, and
        `not_shown` could have been shown in the last `days` days and were not.
        """
        return services_of(request).catalogue.view(days).search(search, status, offset, limit)

    @get(
        "/summary",
        operation_id="summariseCatalogue",
        summary="Count the catalogue",
        responses=problems(404, 503),
        sync_to_thread=True,
    )
    def summarise(self, request: AnyRequest, days: Days = 28) -> CatalogueSummary:
        """Count what is hidden, sold out, cold or incomplete, and how much was shown."""
        return services_of(request).catalogue.view(days).summary()

    @get(
        "/items/{item_id:path}",
        operation_id="getCatalogueItem",
        summary="Look an item up",
        responses=problems(404, 503),
        sync_to_thread=True,
    )
    def read(self, request: AnyRequest, item_id: PathId, days: Days = 28) -> ItemView:
        """Return an item with what it is recommended next to, and what it recommends."""
        return find_item(request, path_id_with_slashes(request, "/v1/catalogue/items/"), days)


def find_item(request: AnyRequest, item_id: str, days: int) -> ItemView:
    """Look an item up.

    Raises
    ------
    NotFoundError
        If the live model does not know it.
    """
    check_path_id(item_id, "item id")
    found = services_of(request).catalogue.view(days).item(item_id)
    if found is None:
        raise NotFoundError(
            f"item {item_id[:80]!r} is not in the catalogue of the live model; "
            "look for it with GET /v1/catalogue?search=..., or train with a catalogue that has it"
        )
    return found
