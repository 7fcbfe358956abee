"""What a version says of its segments: a summary for people, and a prior list for serving."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from rich.text import Text
from scipy.sparse import csr_matrix

from models.dataset import Dataset
from models.manifest import SegmentSummary
from models.ragged import Neighbours
from models.recommenders.priors import LIST_LENGTH
from models.recommenders.rounding import settle
from models.scoring import MS_PER_DAY
from models.snapshot import Priors, segment_prior
from models.terminal import visible
from models.vocabulary import Vocabulary
from training.orders import Orders, collect_orders
from training.segments import Segments

MIN_PRIOR_USERS = 10
"""A segment with fewer has no list of its own."""
MONTH_DAYS = 30.0


@dataclass(frozen=True, slots=True)
class _Shop:
    """What every summary is taken from."""

    orders: Orders
    months: float
    channels: Vocabulary
    of_channel: NDArray[np.int64]
    """Interactions by user and channel, shape (n_users, n_channels)."""


def summarise(dataset: Dataset, segments: Segments) -> dict[str, SegmentSummary]:
    """Describe every segment, by key in order of priority."""
    rows = dataset.interactions
    days = (int(rows.at_ms.max()) - int(rows.at_ms.min())) / MS_PER_DAY if len(rows) else 0.0
    known = rows.channel_rows >= 0
    of_channel = np.zeros((dataset.n_users, len(dataset.channels)), dtype=np.int64)
    np.add.at(of_channel, (rows.user_rows[known], rows.channel_rows[known]), 1)
    months = max(days, 1.0) / MONTH_DAYS
    shop = _Shop(collect_orders(dataset), months, dataset.channels, of_channel)
    return {
        key: _summarise_one(shop, segments.users_of(row)) for row, key in enumerate(segments.keys)
    }


def add_segment_priors(priors: Priors, segments: Segments, weights: csr_matrix) -> Priors:
    """Put a ranked list of items behind the priors for every segment that is large enough.

    `weights` are the decayed ones, shape (n_users, n_items). A user counts for an item with the
    root of its weight, so that nobody's many visits decide alone.
    """
    shape = weights.shape
    weights = csr_matrix((np.sqrt(weights.data), weights.indices, weights.indptr), shape=shape)
    members = segments.members
    shape = (shape[0], len(segments.keys))
    ones = np.ones(len(members.rows), dtype=np.float32)
    belongs = csr_matrix((ones, members.rows, members.offsets), shape=shape)
    volume = csr_matrix(belongs.T @ weights)
    volume.data = settle(volume.data)
    sizes = np.bincount(members.rows, minlength=len(segments.keys))
    chosen = np.flatnonzero((sizes >= MIN_PRIOR_USERS) & (np.diff(volume.indptr) > 0))
    lists = Neighbours.from_csr(volume[chosen], LIST_LENGTH)
    keys = [segment_prior(segments.keys.id(int(row))) for row in chosen]
    return Priors(
        keys=Vocabulary.from_ids([*priors.keys, *keys]),
        lists=Neighbours(
            np.concatenate([priors.lists.offsets, priors.lists.offsets[-1] + lists.offsets[1:]]),
            np.concatenate([priors.lists.rows, lists.rows]),
            np.concatenate([priors.lists.weights, lists.weights]),
        ),
    )


def show_segments(version: str, found: dict[str, SegmentSummary]) -> Table:
    """Draw the summaries."""
    table = Table(title=f"segments of version {version}")
    table.add_column("segment", no_wrap=True)
    for name in ("users", "order\nvalue", "items an\norder", "orders a\nmonth"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("channels", overflow="fold")
    for key, one in found.items():
        channels = sorted(one.channel_share.items(), key=lambda pair: (-pair[1], pair[0]))
        table.add_row(
            Text(visible(key)),
            f"{one.users:,}",
            _number(one.average_order_value),
            _number(one.items_per_order),
            _number(one.orders_per_month),
            Text(visible(", ".join(f"{name} {share:.0%}" for name, share in channels))),
        )
    return table


def _summarise_one(shop: _Shop, users: NDArray[np.int64]) -> SegmentSummary:
    mine = np.isin(shop.orders.user_rows, users)
    n_orders = int(mine.sum())
    value = shop.orders.value[mine]
    value = value[np.isfinite(value)]
    by_channel = shop.of_channel[users].sum(axis=0)
    n_known = int(by_channel.sum())
    shares = zip(shop.channels, by_channel.tolist(), strict=True)
    return SegmentSummary(
        users=len(users),
        orders=n_orders,
        average_order_value=round(float(value.mean()), 4) if len(value) else None,
        items_per_order=round(float(shop.orders.units[mine].mean()), 4) if n_orders else None,
        orders_per_month=round(n_orders / len(users) / shop.months, 4) if n_orders else None,
        channel_share={name: round(n / n_known, 4) for name, n in shares if n},
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.2f}"
