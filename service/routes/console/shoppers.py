"""One customer on one screen. The id that is typed becomes a pseudonym at once.

It comes in the body of a form and never stands in an address, a log or a page.
"""

from __future__ import annotations

import asyncio

import msgspec
from litestar import Controller, Response, get, post
from litestar.params import FromPath

from models.errors import IdError, NotFoundError
from models.ids import check_id, list_known
from service.console.figure import Figure, make_figure
from service.console.plotter import Plotter
from service.console.specs import bars_by_name
from service.middleware.access import principal_of
from service.privacy.export import export_pseudonym
from service.rollouts.bucketing import UnitKind
from service.routes.console.downloads import attachment
from service.routes.console.frame import ConsoleRequest, Page, go, page
from service.routes.console.gate import FormData, also, section
from service.routes.console.insights import HALF
from service.routes.console.showing import namer
from service.routes.console.slate_view import view_slate
from service.routes.privacy import forget_person
from service.routes.shoppers import check_pseudonym
from service.services import services_of
from service.shopper.reasons import why
from service.shopper.view import ShopperView
from service.stores.rollout_sums import STAGES

PATH = "/console/shoppers"
KINDS: dict[str, UnitKind] = {"user": "user_id", "device": "anonymous_id"}
OUTCOME_NAMES = {
    "rendered": "drawn",
    "viewable": "seen",
    "click": "clicked",
    "add_to_cart": "put into the cart",
    "purchase": "bought",
}
OPEN_ROWS = 10
"""Events and exposures that are shown at once; the rest is folded away."""
EVENT_TONES = {"purchase": "good", "refund": "bad", "add_to_cart": "info", "click": "", "view": ""}

assert set(OUTCOME_NAMES) | {"served"} == set(STAGES.values())


class ShopperPages(Controller):
    """Looking somebody up, and what they may ask for: a copy, and to be forgotten."""

    path = "/shoppers"
    opt = section("shoppers")

    @get(sync_to_thread=True)
    def ask(self, request: ConsoleRequest) -> Page:
        """Ask whom to look up."""
        return page(request, "shoppers/ask.html", title="Shoppers", kind="user")

    @post(sync_to_thread=True)
    def look_up(self, request: ConsoleRequest, form: FormData) -> Response[str]:
        """Turn the id into a pseudonym and lead to its page."""
        place = form.text("kind", "user")
        kind = _kind(place)
        try:
            external_id = check_id(form.text("id"), "the id")
        except IdError:
            # The error repeats the id, which may stand in no page.
            return page(
                request,
                "shoppers/ask.html",
                title="Shoppers",
                status=400,
                errors={"id": "an id is 1 to 256 bytes of text"},
                kind=place,
            )
        key = services_of(request).pseudonymiser.pseudonym(kind, external_id)
        return go(request, f"{PATH}/{place}/{key}")

    @get("/{place:str}/{key:str}")
    async def show(self, request: ConsoleRequest, place: FromPath[str], key: FromPath[str]) -> Page:
        """Show what is known of them."""
        services = services_of(request)
        view = await services.shoppers.read(_kind(place), check_pseudonym(key))
        return await asyncio.to_thread(_draw_view, request, place, view)

    @get("/{place:str}/{key:str}/export", opt=also("admin"), sync_to_thread=True)
    def export(
        self, request: ConsoleRequest, place: FromPath[str], key: FromPath[str]
    ) -> Response[str]:
        """Give away everything that is kept of them."""
        _kind(place)
        services = services_of(request)
        found = export_pseudonym(
            services.settings.home,
            services.control_store,
            check_pseudonym(key),
            events=services.settings.event_log,
        )
        text = msgspec.json.format(msgspec.json.encode(found), indent=2).decode()
        return attachment(f"shopper-{key[:8]}.json", text, "application/json")

    @get("/{place:str}/{key:str}/erase", opt=also("admin"), sync_to_thread=True)
    def ask_to_erase(
        self, request: ConsoleRequest, place: FromPath[str], key: FromPath[str]
    ) -> Page:
        """Ask for the id once more, so that nobody is forgotten by mistake."""
        _kind(place)
        return _erase_form(request, place, check_pseudonym(key))

    @post("/{place:str}/{key:str}/erase", opt=also("admin"), sync_to_thread=True)
    def erase(
        self, request: ConsoleRequest, place: FromPath[str], key: FromPath[str], form: FormData
    ) -> Page:
        """Forget them, and show the receipt."""
        kind, typed = _kind(place), form.text("id")
        pseudonymiser = services_of(request).pseudonymiser
        if not typed or pseudonymiser.pseudonym(kind, typed) != check_pseudonym(key):
            wrong = "this is not the id of the shopper that you looked up; nothing was erased"
            return _erase_form(request, place, key, {"id": wrong})
        receipt = forget_person(request, kind, typed)
        return page(request, "shoppers/receipt.html", title="Erased", receipt=receipt)


def _draw_view(request: ConsoleRequest, place: str, view: ShopperView) -> Page:
    name_of = namer(services_of(request))
    return page(
        request,
        "shoppers/show.html",
        title=f"Shopper {view.pseudonym[:8]}",
        view=view,
        path=f"{PATH}/{place}/{view.pseudonym}",
        place=place,
        may_erase=principal_of(request).may("admin"),
        may_see_items=principal_of(request).may("merchandiser"),
        reasons={arm.key: why(arm) for arm in view.rollouts},
        outcomes=OUTCOME_NAMES,
        tones=EVENT_TONES,
        tastes=_draw_tastes(services_of(request).console.plotter, view),
        slates=[view_slate(slate, name_of) for slate in view.now],
        n_open=OPEN_ROWS,
    )


def _erase_form(
    request: ConsoleRequest, place: str, key: str, errors: dict[str, str] | None = None
) -> Page:
    return page(
        request,
        "shoppers/erase.html",
        title="Erase a shopper",
        status=400 if errors else 200,
        path=f"{PATH}/{place}/{key}",
        place=place,
        pseudonym=key,
        errors=errors or {},
    )


def _draw_tastes(plotter: Plotter, view: ShopperView) -> Figure:
    has_factors = any(one.nearness is not None for one in view.categories)
    rows = [
        (one.category, one.nearness if has_factors else one.history_share, one.history_share)
        for one in view.categories
    ]
    return make_figure(
        plotter,
        bars_by_name(
            [
                (category.split(" > ")[-1], float(value or 0), f"{share:.0%} of history")
                for category, value, share in rows
            ]
        ),
        title="Nearest categories",
        note="by the model's factors" if has_factors else "by their history",
        description="A bar for each category, the nearest to this shopper's taste first.",
        columns=["Category", "Nearness (cosine)" if has_factors else "Share", "Share of history"],
        rows=rows,
        height=max(60, 30 * len(rows)),
        width=HALF,
    )


def _kind(place: str) -> UnitKind:
    """Return the kind of id that an address or a form means.

    Raises
    ------
    NotFoundError
        If it means none.
    """
    if place not in KINDS:
        raise NotFoundError(f"{place[:40]!r} is no kind of shopper; {list_known(KINDS)}")
    return KINDS[place]
