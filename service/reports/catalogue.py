"""How much of the catalogue an arm really shows."""

from __future__ import annotations

from collections.abc import Iterable

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
