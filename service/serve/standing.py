"""Why an item or a banner may not stand in a slate, whatever its rank."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, NamedTuple

from models.vocabulary import MISSING_ROW
from service.control.documents import Placement
from service.serve.rules import ActingRules
from service.serve.shelf import Shelf

Barrier = Literal["hidden", "hidden_by_rule", "unavailable", "barred", "purchased"]
"""Set to hidden; hidden by a rule; cannot be bought; excluded, or on the page; bought already."""

BannerBarrier = Literal[
    "hidden_by_rule", "unavailable", "not_live", "not_in_audience", "resting", "barred"
]
"""Of a banner: also outside its schedule or audience, or seen as often as its cap allows."""


class Barred(NamedTuple):
    """What stands in the way, and the id of the rule if it is one's."""

    barrier: Barrier
    rule_id: str | None = None


def barrier_of(
    shelf: Shelf,
    placement: Placement,
    rules: ActingRules | None,
    item_id: str,
    *,
    barred: Collection[str],
    purchased: Collection[int],
) -> Barred | None:
    """Say what keeps an item off a slate; nothing if only its rank does."""
    configuration = shelf.configuration
    row = MISSING_ROW if shelf.stock is None else shelf.stock.row(item_id)
    if item_id in configuration.hidden_items:
        return Barred("hidden")
    hides = None if rules is None else rules.hides(row, item_id)
    if hides is not None:
        return Barred("hidden_by_rule", hides.id)
    if placement.only_available:
        if row == MISSING_ROW:
            is_open = item_id not in configuration.unavailable_items
        else:
            is_open = bool(shelf.shown_mask(only_available=True)[row])
        if not is_open:
            return Barred("unavailable")
    if row in purchased:
        return Barred("purchased")
    if item_id in barred:
        return Barred("barred")
    return None
