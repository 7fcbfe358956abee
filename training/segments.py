"""Segments: what kind of customer each user is. Pure rules over orders and interactions.

A user may be in several; the order of the keys is their priority, from what says most about what
to show. Bounds are taken from the shop's own customers, or from the customer's own rhythm, so no
currency and no line of business is assumed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from models.dataset import Dataset
from models.ragged import RowLists, offsets_of
from models.recommenders.content import CATEGORY_SEPARATOR
from models.scoring import MS_PER_DAY
from models.vocabulary import Vocabulary
from training.orders import Buying, collect_orders, mean_by, measure_buying, purchases

MIN_LINES = 3
"""Purchases, or interactions, before a taste is read from them."""
MIN_ORDERS = 3
"""Orders before a customer has a rhythm."""
MIN_CATEGORY_USERS = 5
"""A smaller segment would be the taste of single people."""
DISCOUNTED = 0.95
"""A line is discounted below this share of the list price."""
AT_RISK, LAPSED = np.log(10.0), np.log(100.0)
"""Mean gaps after which a customer of steady rhythm would have come back in 9 and 99 of 100 cases.

The time to the next order of such a customer is exponential: it exceeds t with exp(-t / gap).
"""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Segments:
    """Who is in which segment."""

    keys: Vocabulary
    """By falling priority."""
    members: RowLists
    """Rows of `keys` for each user, ascending."""

    def users_of(self, row: int) -> NDArray[np.int64]:
        """Return the users of one segment, ascending."""
        owners = np.repeat(np.arange(len(self.members)), np.diff(self.members.offsets))
        users: NDArray[np.int64] = owners[self.members.rows == row]
        return users


def find_segments(dataset: Dataset, now_ms: int) -> Segments:
    """Sort every user into segments, as of `now_ms`; a segment without a user is left out."""
    buying = measure_buying(collect_orders(dataset), dataset.n_users)
    masks = {
        **favourite_categories(dataset),
        **price_sensitivity(dataset),
        **price_bands(dataset),
        **churn_risk(buying, now_ms),
        **value_tiers(buying),
        **frequencies(buying),
        **recencies(dataset, now_ms),
    }
    masks = {key: mask for key, mask in masks.items() if mask.any()}
    pairs = [np.flatnonzero(mask) for mask in masks.values()]
    users = np.concatenate([np.empty(0, dtype=np.int64), *pairs])
    rows = np.repeat(np.arange(len(pairs), dtype=np.int32), [len(found) for found in pairs])
    order = np.lexsort((rows, users))
    counts = np.bincount(users, minlength=dataset.n_users)
    return Segments(Vocabulary.from_ids(masks), RowLists(offsets_of(counts), rows[order]))


def value_tiers(buying: Buying) -> dict[str, Mask]:
    """Tell few but large orders from small and rare ones, and both from the regular customer.

    Rare is at most the median number of orders of all buyers. Of those, large is an average order
    in the upper fifth and above the median, small one up to the median. Orders are compared by
    value, or by units where most customers have no known value.
    """
    buys = buying.n_orders > 0
    if not buys.any():
        return {}
    has_value = np.isfinite(buying.mean_value[buys]).mean() >= 0.5
    size = buying.mean_value if has_value else buying.mean_units
    known = buys & np.isfinite(size)
    rare = known & (buying.n_orders <= np.median(buying.n_orders[buys]))
    middle, large = np.quantile(size[known], [0.5, 0.8])
    few_but_large = rare & (size >= large) & (size > middle)
    small_and_rare = rare & (size <= middle)
    return {
        "value:few_but_large": few_but_large,
        "value:regular": buys & ~few_but_large & ~small_and_rare,
        "value:small_and_rare": small_and_rare,
    }


def frequencies(buying: Buying) -> dict[str, Mask]:
    """Frequent is at least three orders and as many as the upper fifth of all buyers has."""
    buys = buying.n_orders > 0
    if not buys.any():
        return {}
    many = max(float(np.quantile(buying.n_orders[buys], 0.8)), MIN_ORDERS)
    frequent = buying.n_orders >= many
    once = buying.n_orders == 1
    return {
        "frequency:frequent": frequent,
        "frequency:repeat": buys & ~frequent & ~once,
        "frequency:once": once,
    }


def recencies(dataset: Dataset, now_ms: int) -> dict[str, Mask]:
    """Sort users by the age of their newest interaction: 7, 30, 91 days, or older."""
    rows = dataset.interactions
    newest = np.full(dataset.n_users, np.iinfo(np.int64).min)
    np.maximum.at(newest, rows.user_rows, rows.at_ms)
    seen = newest > np.iinfo(np.int64).min
    age_days = np.where(seen, (now_ms - newest.astype(np.float64)) / MS_PER_DAY, np.inf)
    bounds = (("week", 7.0), ("month", 30.0), ("quarter", 91.0), ("older", np.inf))
    masks, rest = {}, seen
    for name, most in bounds:
        masks[f"recency:{name}"] = rest & (age_days <= most)
        rest = rest & (age_days > most)
    return masks


def churn_risk(buying: Buying, now_ms: int) -> dict[str, Mask]:
    """Compare the time since the last order with the customer's own mean gap between orders."""
    has_rhythm = buying.n_orders >= MIN_ORDERS
    elapsed_days = (now_ms - buying.last_order_ms) / MS_PER_DAY
    gaps = np.where(has_rhythm, elapsed_days / buying.mean_gap_days, 0.0)
    return {
        "churn:lapsed": has_rhythm & (gaps > LAPSED),
        "churn:at_risk": has_rhythm & (gaps > AT_RISK) & (gaps <= LAPSED),
        "churn:in_rhythm": has_rhythm & (gaps <= AT_RISK),
    }


def price_bands(dataset: Dataset) -> dict[str, Mask]:
    """Sort users by the mean price they pay beside the thirds of all prices paid in the shop."""
    lines = purchases(dataset)
    price = lines.price.astype(np.float64)
    if not np.isfinite(price).any():
        return {}
    low, high = np.quantile(price[np.isfinite(price)], [1 / 3, 2 / 3])
    mean = _taste(lines.user_rows, price, dataset.n_users)
    known = np.isfinite(mean)
    return {
        "band:high": known & (mean > high),
        "band:middle": known & (mean > low) & (mean <= high),
        "band:low": known & (mean <= low),
    }


def price_sensitivity(dataset: Dataset) -> dict[str, Mask]:
    """Bargain hunters bought at least half discounted, full payers at most a tenth."""
    lines = purchases(dataset)
    listed = dataset.catalog.price[lines.item_rows].astype(np.float64)
    comparable = np.isfinite(listed) & np.isfinite(lines.price) & (listed > 0)
    discounted = np.where(comparable, lines.price < DISCOUNTED * listed, np.nan)
    share = _taste(lines.user_rows, discounted, dataset.n_users)
    return {
        "price:bargain_hunter": share >= 0.5,
        "price:full_price": share <= 0.1,
    }


def favourite_categories(dataset: Dataset) -> dict[str, Mask]:
    """Name the deepest category that holds more than half of a user's interactions."""
    rows = dataset.interactions
    paths = [_path(category) for category in dataset.catalog.categories]
    totals = np.bincount(rows.user_rows, minlength=dataset.n_users)
    favourite: dict[int, str] = {}
    for depth in range(1, max(map(len, paths), default=0) + 1):
        keys = [category_key(path[:depth]) if len(path) >= depth else None for path in paths]
        names = sorted({key for key in keys if key is not None})
        number = {name: row for row, name in enumerate(names)}
        item_names = np.array([-1 if key is None else number[key] for key in keys], dtype=np.int64)
        found = item_names[rows.item_rows]
        pair = rows.user_rows[found >= 0].astype(np.int64) << 32 | found[found >= 0]
        pairs, counts = np.unique(pair, return_counts=True)
        users = pairs >> 32
        enough = (2 * counts > totals[users]) & (totals[users] >= MIN_LINES)
        chosen = zip(users[enough].tolist(), (pairs[enough] & 0xFFFFFFFF).tolist(), strict=True)
        favourite.update((user, names[row]) for user, row in chosen)
    masks: dict[str, Mask] = {}
    for user, key in favourite.items():
        masks.setdefault(key, np.zeros(dataset.n_users, dtype=np.bool_))[user] = True
    large = {key: mask for key, mask in masks.items() if mask.sum() >= MIN_CATEGORY_USERS}
    return dict(sorted(large.items()))


def category_key(path: Iterable[str]) -> str:
    """Name the segment of a category with what the key of a segment may hold.

    A path with letters that it may not hold ends in a hash, so that no two of them share a key.
    """
    text = CATEGORY_SEPARATOR.join(path)
    slug = ".".join(re.sub(r"[^a-z0-9]+", "-", part.casefold()).strip("-") for part in path)
    if text.isascii() and len(slug) <= 48:
        return f"category:{slug}"
    return f"category:{slug[:40]}-{blake2b(text.encode(), digest_size=4).hexdigest()}"


def _path(category: str | None) -> list[str]:
    parts = (category or "").split(CATEGORY_SEPARATOR)
    return [part.strip() for part in parts if part.strip()]


def _taste(owners: NDArray[np.int32], values: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Average the known values of each user who has at least `MIN_LINES` of them, else NaN."""
    counts = np.bincount(owners[np.isfinite(values)], minlength=n)
    return np.where(counts >= MIN_LINES, mean_by(owners, values, n), np.nan)
