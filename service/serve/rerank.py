"""Bounded diversity: a slate is reordered, never robbed, so categories do not stand in a row."""

from __future__ import annotations

from collections.abc import Sequence

MAX_RUN = 3
"""So many items of one category may follow each other while there is another to put between."""


def spread(categories: Sequence[int], max_run: int = MAX_RUN) -> list[int]:
    """Return the order, as places in `categories`, in which no run is longer than `max_run`.

    Every place is kept, and keeps its rank unless a run pushes it back. -1, an unknown category,
    never makes a run. Where only one category is left the run goes on.
    """
    if not _has_run(categories, max_run):
        return list(range(len(categories)))
    waiting = list(range(len(categories)))
    order: list[int] = []
    run_of, run = -1, 0
    while waiting:
        turn = 0
        if run >= max_run and run_of != -1:
            others = (n for n, place in enumerate(waiting) if categories[place] != run_of)
            turn = next(others, 0)
        place = waiting.pop(turn)
        order.append(place)
        run = run + 1 if categories[place] == run_of else 1
        run_of = categories[place]
    return order


def _has_run(categories: Sequence[int], max_run: int) -> bool:
    """Say whether anything has to move."""
    run_of, run = -1, 0
    for category in categories:
        run = run + 1 if category == run_of else 1
        run_of = category
        if run > max_run and category != -1:
            return True
    return False
