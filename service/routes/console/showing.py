"""Slates on pages of the console: served as a preview, then written for people."""

from __future__ import annotations

from collections.abc import Sequence

from models.vocabulary import MISSING_ROW
from service.control.documents import Banner
from service.control.drafts import Drafts
from service.rollouts.segment import INTENT_SEGMENTS
from service.routes.console.looking import Look, all_variants
from service.routes.console.slate_view import (
    Card,
    NameOf,
    SlateView,
    card_of,
    mark_changes,
    view_slate,
)
from service.services import Services

MAX_FOUND = 8
"""Items that a search beside a form shows."""


async def show_slates(
    services: Services, look: Look, placement_ids: Sequence[str], drafts: Drafts | None = None
) -> list[SlateView]:
    """Serve placements as a preview.

    Raises
    ------
    EndcapError
        If what was typed makes no request, or names what does not exist.
    """
    configuration = services.current.get()
    request = look.to_request(configuration, placement_ids, drafts)
    page, _ = await services.engine.serve(request)
    name_of = namer(services, () if drafts is None else drafts.banners)
    return [view_slate(slate, name_of) for slate in page.placements]


async def show_change(
    services: Services,
    look: Look,
    placement_ids: Sequence[str],
    drafts: Drafts,
    without: Drafts | None = None,
) -> list[tuple[SlateView | None, SlateView]]:
    """Serve placements as they are and as drafts would leave them; no "before" of a new one.

    What they are compared with is `without`, if that is given.
    """
    known = [one for one in placement_ids if one in services.current.get().placements]
    served = await show_slates(services, look, known, without) if known else []
    before = {one.id: one for one in served}
    after = await show_slates(services, look, placement_ids, drafts)
    return [
        (before.get(one.id), mark_changes(before[one.id], one) if one.id in before else one)
        for one in after
    ]


def namer(services: Services, drafted: Sequence[Banner] = ()) -> NameOf:
    """Return what finds title and picture of an item of the live model, or of a banner."""
    snapshot = services.live_model.get()
    banners = services.current.get().banners | {one.id: one for one in drafted}

    def name_of(one: str) -> Card:
        row = MISSING_ROW if snapshot is None else snapshot.items.ids.row(one)
        if snapshot is not None and row != MISSING_ROW:
            return card_of(one, snapshot.items.cards[row])
        banner = banners.get(one)
        if banner is not None:
            return Card(id=one, title=banner.title, image_url=banner.image_url, is_banner=True)
        return Card(id=one, title=one)

    return name_of


def unknown_ids(
    services: Services, item_ids: Sequence[str] = (), banner_ids: Sequence[str] = ()
) -> list[str]:
    """Return the ids of a form that neither the live model's catalogue nor the banners have.

    Without a model nothing is known of items, so none is told.
    """
    snapshot, banners = services.live_model.get(), services.current.get().banners
    rows = None if snapshot is None else snapshot.items.ids
    return [
        *(one for one in item_ids if rows is not None and rows.row(one) == MISSING_ROW),
        *(one for one in banner_ids if one not in banners),
    ]


def find_items(services: Services, query: str) -> list[Card]:
    """Search the catalogue for a form; nothing without a model."""
    snapshot = services.live_model.get()
    if not query or snapshot is None:
        return []
    index = services.catalogue.index()
    rows = index.search(query, index.snapshot.items.n_interactions >= 0)[:MAX_FOUND]
    return [card_of(index.ids[row], index.snapshot.items.cards[row]) for row in rows.tolist()]


def choices(services: Services) -> dict[str, list[str]]:
    """List what the fields of a look may hold: variants, segments, countries."""
    configuration, snapshot = services.current.get(), services.live_model.get()
    segments = [*configuration.segments, *INTENT_SEGMENTS]
    countries: list[str] = []
    if snapshot is not None:
        segments += list(snapshot.users.segment_keys)
        keys = list(snapshot.priors.keys)
        countries = [key.removeprefix("country:") for key in keys if key.startswith("country:")]
    return {
        "variants": all_variants(configuration),
        "segments": sorted(segments),
        "countries": sorted(countries)[:300],
        "placements": sorted(configuration.placements),
    }
