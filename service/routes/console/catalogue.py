"""The catalogue: looking items up, hiding them, and seeing how much of it is shown."""

from __future__ import annotations

from urllib.parse import urlencode

from litestar import Controller, Response, get, post
from litestar.params import FromPath, FromQuery

from models.errors import NotFoundError
from service.catalogue.views import (
    STATUSES,
    CatalogueSummary,
    CatalogueView,
    ListedItem,
    Status,
)
from service.console.figure import Figure, make_figure
from service.console.plotter import Plotter
from service.console.specs import bars_by_name
from service.console.tables import Table
from service.control.documents import ItemStatus
from service.routes.catalogue import find_item
from service.routes.console.downloads import csv_file, find_table, table_name
from service.routes.console.frame import ConsoleRequest, Page, go, local_path, page
from service.routes.console.gate import FormData, section
from service.routes.console.insights import DEFAULT_DAYS, HALF, PERIODS, period
from service.routes.documents import patch_document
from service.services import services_of

PATH = "/console/catalogue"
PAGE_SIZE = 25
MAX_PAGE = 10_000
MAX_DRAWN = 12
STATUS_NAMES: dict[Status, str] = {
    "all": "All",
    "hidden": "Hidden",
    "unavailable": "Sold out",
    "cold": "Cold",
    "unmatched": "Cannot be matched",
    "incomplete": "Incomplete",
    "not_shown": "Never shown",
}
STATUS_NOTES: dict[Status, str] = {
    "all": "",
    "hidden": "Set by hand; they stand on no page until they are shown again.",
    "unavailable": "By the catalogue or by hand; placements that show only what can be bought "
    "leave them out.",
    "cold": "Fewer than 5 interactions: what recommends them comes from their attributes.",
    "unmatched": "No category, brand, title or attribute that the model could learn from, so "
    "they resemble nothing and are found only by what shoppers do.",
    "incomplete": "Title, category, brand or price is missing.",
    "not_shown": "Could have stood on a page in the period and never did.",
}
FIELD_NAMES = {
    "title": "Title",
    "category": "Category",
    "brand": "Brand",
    "price": "Price",
    "image_url": "Picture",
}


class CataloguePages(Controller):
    """Items, one by one and all together."""

    path = "/catalogue"
    opt = section("catalogue")

    @get(sync_to_thread=True)
    def show(
        self,
        request: ConsoleRequest,
        *,
        search: FromQuery[str] = "",
        status: FromQuery[str] = "all",
        days: FromQuery[int] = DEFAULT_DAYS,
        number: FromQuery[int] = 1,
    ) -> Page:
        """Show what was searched for, a page at a time."""
        days = period(days)
        services = services_of(request)
        view = _view(request, days)
        if view is None:
            return page(request, "catalogue/empty.html", title="Catalogue")
        wanted: Status = next((one for one in STATUSES if one == status), "all")
        number = min(max(number, 1), MAX_PAGE)
        summary = view.summary()
        found = view.search(search[:200], wanted, (number - 1) * PAGE_SIZE, PAGE_SIZE)
        n_pages = max(1, -(-found.total // PAGE_SIZE))
        if number > n_pages:  # the last of a page was hidden, say: there are others before it
            number = n_pages
            found = view.search(search[:200], wanted, (number - 1) * PAGE_SIZE, PAGE_SIZE)

        def address(**changes: str | int) -> str:
            asked: dict[str, str | int] = {"search": search[:200], "status": wanted, "days": days}
            parts = {key: value for key, value in (asked | changes).items() if value != ""}
            return f"{PATH}?{urlencode(parts)}"

        return page(
            request,
            "catalogue/list.html",
            title="Catalogue",
            summary=summary,
            found=found,
            search=search[:200],
            chosen=wanted,
            statuses=STATUS_NAMES,
            notes=STATUS_NOTES,
            counts=_counts(summary),
            days=days,
            periods=PERIODS,
            address=address,
            back=address(number=number),
            newer=address(number=number - 1) if number > 1 else "",
            older=address(number=number + 1) if number * PAGE_SIZE < found.total else "",
            figure=_draw(services.console.plotter, summary),
            fields=FIELD_NAMES,
        )

    @get("/item", sync_to_thread=True)
    def show_item(
        self, request: ConsoleRequest, id: FromQuery[str], days: FromQuery[int] = DEFAULT_DAYS
    ) -> Page:
        """Show one item and what stands around it."""
        services_of(request).current.take_effect()
        found = find_item(request, id, period(days))
        return page(
            request,
            "catalogue/item.html",
            title=found.item.title or found.item.id,
            found=found,
            item=found.item,
            days=period(days),
            back=f"{PATH}/item?{urlencode({'id': found.item.id, 'days': period(days)})}",
            fields=FIELD_NAMES,
        )

    @post("/status", sync_to_thread=True)
    def set_status(self, request: ConsoleRequest, form: FormData) -> Response[str]:
        """Hide an item, show it, or say whether it can be bought; live within a second."""
        item_id = form.text("item_id")
        change = _change(form.text("change"))
        patch_document(request, "item", item_id, change[0], ItemStatus, if_match=None, create=True)
        back = local_path(form.text("back", PATH))
        return go(request, back, f"{form.text('title') or item_id} {change[1]}.")

    @get("/{file:str}", sync_to_thread=True)
    def download(
        self,
        request: ConsoleRequest,
        *,
        file: FromPath[str],
        search: FromQuery[str] = "",
        status: FromQuery[str] = "all",
        days: FromQuery[int] = DEFAULT_DAYS,
    ) -> Response[str]:
        """Give a table away: the departments, or every item that was searched for."""
        days, name = period(days), table_name(file)
        view = services_of(request).catalogue.view(days)
        wanted: Status = next((one for one in STATUSES if one == status), "all")
        if name == "items":
            return csv_file(f"items-{wanted}", _items(view, search[:200], wanted))
        return csv_file(f"{name}-{days}-days", find_table(_tables(view.summary()), name))


def _view(request: ConsoleRequest, days: int) -> CatalogueView | None:
    services = services_of(request)
    # The page after a form may come from a worker that has not heard of the change yet.
    services.current.take_effect()
    try:
        return services.catalogue.view(days)
    except NotFoundError:
        return None


def _change(word: str) -> tuple[dict[str, bool | None], str]:
    """Return what a button sets, and how the page says that it did."""
    changes: dict[str, tuple[dict[str, bool | None], str]] = {
        "hide": ({"hidden": True}, "is hidden: it leaves every page within a second"),
        "show": ({"hidden": False}, "may be shown again"),
        "sold_out": ({"available": False}, "is set to sold out"),
        "available": ({"available": True}, "is set to available"),
        "as_catalogue": ({"available": None}, "is as available as the catalogue says"),
    }
    if word not in changes:
        raise NotFoundError(f"change {word[:40]!r} does not exist; press a button of the page")
    return changes[word]


def _counts(summary: CatalogueSummary) -> dict[Status, int]:
    return {
        "all": summary.items,
        "hidden": summary.hidden,
        "unavailable": summary.unavailable,
        "cold": summary.cold,
        "unmatched": summary.unmatched,
        "incomplete": summary.incomplete,
        "not_shown": summary.not_shown,
    }


def _tables(summary: CatalogueSummary) -> dict[str, Table]:
    return {
        "departments": Table(
            ["Department", "Items", "Shown", "Share shown"],
            [
                (one.name or "no category", one.items, one.shown, round(one.share, 4))
                for one in summary.departments
            ],
        ),
        "missing": Table(
            ["Field", "Items without it"],
            [(FIELD_NAMES[name], n) for name, n in summary.missing.items()],
        ),
    }


def _items(view: CatalogueView, search: str, status: Status) -> Table:
    found = view.search(search, status, 0, 1_000_000)
    return Table(
        [
            *("Item", "Title", "Category", "Brand", "Price", "Can be bought", "Hidden"),
            *("Interactions", "Shown", "Missing", "Recommended next to"),
        ],
        [_row(item) for item in found.items],
    )


def _row(item: ListedItem) -> tuple[str | int | float | bool | None, ...]:
    return (
        *(item.id, item.title, item.category, item.brand, item.price),
        *(item.available, item.hidden, item.interactions, item.shown),
        ", ".join(FIELD_NAMES[name] for name in item.missing),
        ", ".join(one.id for one in item.next_to),
    )


def _draw(plotter: Plotter, summary: CatalogueSummary) -> Figure:
    largest = sorted(summary.departments, key=lambda one: -one.items)[:MAX_DRAWN]
    table = _tables(summary)["departments"]
    return make_figure(
        plotter,
        bars_by_name(
            [
                (one.name or "no category", one.share, f"{one.share:.0%} of {one.items:,}")
                for one in largest
            ],
            domain_max=1.0,
        ),
        title="Share of each department that was shown",
        description=f"A bar for each of the {len(largest)} largest departments.",
        columns=table.columns,
        rows=table.rows,
        height=max(90, 30 * len(largest)),
        width=HALF,
    )
