"""Which placements a page asks for, and the slates of those that stay empty."""

from __future__ import annotations

from collections.abc import Iterable

from models.errors import NotFoundError
from models.ids import list_known
from service.control.configuration import Configuration
from service.control.documents import Placement
from service.serve.page import BannerSlate, ItemSlate, Slate
from service.serve.request import PlacementRequest

Wanted = list[tuple[Placement, PlacementRequest]]

NOT_CONFIGURED = Placement(kind="items", enabled=False)
"""Stands for every placement that is not there, so that it costs the others of a page nothing."""


def find_placements(configuration: Configuration, asked: tuple[PlacementRequest, ...]) -> Wanted:
    """Pair each request with its placement, or with `NOT_CONFIGURED`.

    Raises
    ------
    NotFoundError
        If none of them is configured; it names the first.
    """
    found = []
    n_unknown = 0
    for one in asked:
        placement = configuration.placements.get(one.id)
        if placement is None:
            n_unknown += 1
            placement = NOT_CONFIGURED
        found.append((placement, one))
    if n_unknown == len(asked):
        unknown = asked[0].id[:80]
        raise NotFoundError(
            f"placement {unknown!r} at $.placements[0].id is not configured; "
            f"{list_known(configuration.placements)}; add it with PUT /v1/placements/{unknown}"
        )
    return found


def put_in_order(wanted: Wanted, decided: Iterable[Slate]) -> tuple[Slate, ...]:
    """Put slates in the order of the request, with an empty one where nothing was decided."""
    slates = iter(decided)
    return tuple(
        next(slates) if placement.enabled else _leave_empty(placement, asked)
        for placement, asked in wanted
    )


def _leave_empty(placement: Placement, asked: PlacementRequest) -> Slate:
    """Leave a slot empty and say why; the others of the page are filled."""
    if placement.kind == "items":
        return ItemSlate(
            id=asked.id,
            exposure_id="",
            tier="static",
            degraded="not_configured" if placement is NOT_CONFIGURED else "disabled",
            rollout=None,
            items=(),
        )
    return BannerSlate(
        id=asked.id,
        exposure_id="",
        tier="static",
        degraded="disabled",
        rollout=None,
        banners=(),
    )
