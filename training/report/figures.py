"""What a report shows, worked out from evaluations on one split: groups, ages, coverage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.distinct import distinct
from models.manifest import Interval
from models.scoring import MS_PER_DAY
from models.vocabulary import MISSING_ROW
from training.evaluate import Evaluation
from training.split import Split

ACTIVITY_BOUNDS = (0, 2, 5, 10, 20)
"""Largest number of different items in a user's history, group by group; the last is open."""
AGE_BOUNDS_DAYS = (30.0, 90.0, 365.0)
"""Largest age of an item, group by group; the last is open."""


@dataclass(frozen=True, slots=True)
class Group:
    """One group of users or of test pairs, and a figure of every recommender in it."""

    label: str
    n: int
    figures: dict[str, Interval]


def by_activity(evaluations: Mapping[str, Evaluation], split: Split, metric: str) -> list[Group]:
    """Average a metric over users with histories of about the same length."""
    train = split.train
    pairs = distinct(
        train.interactions.user_rows.astype(np.int64) << 32 | train.interactions.item_rows
    )
    lengths = np.bincount(pairs >> 32, minlength=train.n_users)
    some = next(iter(evaluations.values()))
    groups = []
    for label, chosen in _bands(lengths[some.users], ACTIVITY_BOUNDS, "{:.0f}"):
        figures = {
            name: mean_interval(found.per_user[metric][chosen])
            for name, found in evaluations.items()
        }
        groups.append(Group(label, int(chosen.sum()), figures))
    return groups


def by_item_age(evaluations: Mapping[str, Evaluation], split: Split, k: int) -> list[Group]:
    """Return which share of the test pairs stands in the first `k`, by the age of the item.

    An item is as old as its first interaction in training; where there is no clock, only new items
    and known ones are told apart. A pair with an unknown item is never found.
    """
    some = next(iter(evaluations.values()))
    place = np.searchsorted(some.users, split.test_users)
    place = np.minimum(place, max(len(some.users) - 1, 0))
    counted = (split.test_items != MISSING_ROW) & np.isin(split.test_users, some.users)
    items, place = split.test_items[counted], place[counted]
    hits = {
        name: (found.lists[place, :k] == items[:, np.newaxis]).any(axis=1)
        for name, found in evaluations.items()
    }
    groups = []
    for label, chosen in _age_bands(split, items):
        found = {name: hit[chosen].astype(np.float64) for name, hit in hits.items()}
        figures = {name: mean_interval(hit) for name, hit in found.items()}
        groups.append(Group(label, int(chosen.sum()), figures))
    return groups


def coverage_curves(
    evaluations: Mapping[str, Evaluation], n_candidates: int
) -> dict[str, list[float]]:
    """Return the share of the candidates that stands in any list of length 1, 2, ..., k."""
    curves = {}
    for name, found in evaluations.items():
        lists = found.lists
        seen = np.zeros(int(lists.max(initial=-1)) + 1, dtype=np.bool_)
        curve = []
        for column in lists.T:
            seen[column[column >= 0]] = True
            curve.append(float(seen.sum()) / max(n_candidates, 1))
        curves[name] = curve
    return curves


def mean_interval(values: NDArray[np.float64]) -> Interval:
    """Return the mean with its normal 95 % interval; of no values, zeros."""
    if not len(values):
        return Interval(value=0.0, low=0.0, high=0.0)
    mean = float(values.mean())
    margin = 1.96 * float(values.std(ddof=1)) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return Interval(value=mean, low=max(mean - margin, 0.0), high=min(mean + margin, 1.0))


def _age_bands(split: Split, items: NDArray[np.integer]) -> list[tuple[str, NDArray[np.bool_]]]:
    rows = split.train.interactions
    first = np.full(split.train.n_items, np.iinfo(np.int64).max)
    np.minimum.at(first, rows.item_rows, rows.at_ms)
    is_new = first[items] == np.iinfo(np.int64).max
    bands = [("no interaction yet", is_new)]
    if len(rows) and rows.at_ms.min() < rows.at_ms.max():
        age_days = (split.now_ms - first[items]) / MS_PER_DAY
        bands += [
            (f"{label} days", chosen & ~is_new)
            for label, chosen in _bands(age_days, AGE_BOUNDS_DAYS, "{:.0f}")
        ]
    else:
        bands.append(("known", ~is_new))
    return [(label, chosen) for label, chosen in bands if chosen.any()]


def _bands(
    values: NDArray[np.number], bounds: tuple[float, ...], form: str
) -> list[tuple[str, NDArray[np.bool_]]]:
    """Cut values into bands, each up to and with its bound, the last open; empty ones are left."""
    edges = [-np.inf, *bounds, np.inf]
    bands = []
    for low, high in pairwise(edges):
        chosen = (values > low) & (values <= high)
        if low == -np.inf:
            label = form.format(high) if high == 0 else f"up to {form.format(high)}"
        elif high == np.inf:
            label = f"more than {form.format(low)}"
        else:
            label = f"{form.format(low + 1)} to {form.format(high)}"
        if chosen.any():
            bands.append((label, chosen))
    return bands
