"""How much of the catalogue an arm really shows."""

from __future__ import annotations

from collections.abc import Iterable

from models.vocabulary import Vocabulary

CARRIED_SHARE = 0.9


def effective_size(n_shown: Iterable[int], share: float = CARRIED_SHARE) -> int:
    """Count the items that carry `share` of what was shown, most shown first; 0 for nothing."""
    counts = sorted(n_shown, reverse=True)
    wanted = share * sum(counts)
    carried = 0
    for n_items, count in enumerate(counts, 1):
        carried += count
        if carried >= wanted:
            return n_items
    return 0


def count_known(shown: Iterable[str], catalogue: Vocabulary) -> int:
    """Count the ids that the catalogue has; banners and items that left it are not among them."""
    return sum(shown_id in catalogue for shown_id in shown)
