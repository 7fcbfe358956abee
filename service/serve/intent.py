"""Intent: what the shopper's newest events say they are here for. Pure.

Somebody who came by accident and somebody with a thing in their basket want different pages.
Audiences ask for it as a segment, such as ``intent:buying``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from models.events import InteractionKind
from service.rollouts.segment import Intent
from service.serve.recent import RecentEvent

SESSION_MS = 30 * 60_000
"""Silence after which a visit has ended."""
MIN_LOOKS = 3
"""Items looked at before a visit can be called focused."""
FOCUSED_SHARE = 2 / 3
"""Share of them that is of one category."""

_LOOKS = (InteractionKind.VIEW, InteractionKind.CLICK)


def intent_of(
    recent: Iterable[RecentEvent], now_ms: int, category_of: Callable[[str], int | None]
) -> Intent:
    """Say what the events of this visit, in their order, are about.

    Parameters
    ----------
    recent : iterable of RecentEvent
        Oldest first.
    now_ms : int
        The visit is everything up to here without a silence of `SESSION_MS`.
    category_of : callable
        The number of an item's category; nothing where it is not known.
    """
    visit = _visit_of([event for event in recent if event.at_ms <= now_ms], now_ms)
    if not visit:
        return "arriving"
    basket: set[str] = set()
    for event in visit:
        if event.kind == InteractionKind.ADD_TO_CART:
            basket.add(event.item_id)
        elif event.kind == InteractionKind.PURCHASE:
            basket.discard(event.item_id)
    if basket:
        return "buying"
    looked = {event.item_id for event in visit if event.kind in _LOOKS}
    categories = Counter(category_of(item_id) for item_id in looked)
    del categories[None]
    most = max(categories.values(), default=0)
    if len(looked) >= MIN_LOOKS and most >= FOCUSED_SHARE * len(looked):
        return "focused"
    return "browsing"


def _visit_of(events: Sequence[RecentEvent], now_ms: int) -> Sequence[RecentEvent]:
    """Return the events since the last silence."""
    later_ms = now_ms
    for place in range(len(events) - 1, -1, -1):
        if later_ms - events[place].at_ms >= SESSION_MS:
            return events[place + 1 :]
        later_ms = events[place].at_ms
    return events
