"""Datasets small enough to know their right answer."""

from collections.abc import Sequence

import numpy as np

from models.dataset import Catalog, Dataset, Interactions
from models.events import InteractionKind
from models.scoring import MS_PER_DAY
from models.vocabulary import Vocabulary

Row = tuple[int, int, int]
"""User row, item row, day."""

NOW_MS = int(100 * MS_PER_DAY)


def make_dataset(
    rows: Sequence[Row],
    n_users: int,
    n_items: int,
    *,
    titles: Sequence[str | None] | None = None,
    categories: Sequence[str | None] | None = None,
    kind: InteractionKind = InteractionKind.PURCHASE,
) -> Dataset:
    """Make a dataset of purchases in order of time; a user's rows of one day are one basket."""
    ordered = sorted(rows, key=lambda row: row[2])
    users, items, days = (
        np.array([row[place] for row in ordered], dtype=np.int64) for place in range(3)
    )
    n = len(ordered)
    return Dataset(
        user_ids=Vocabulary.from_ids(f"u{user}" for user in range(n_users)),
        item_ids=Vocabulary.from_ids(f"i{item}" for item in range(n_items)),
        countries=Vocabulary.from_ids(["GB"]),
        channels=Vocabulary.from_ids([]),
        interactions=Interactions(
            user_rows=users.astype(np.int32),
            item_rows=items.astype(np.int32),
            kinds=np.full(n, kind, dtype=np.int8),
            at_ms=(days * MS_PER_DAY).astype(np.int64),
            quantity=np.ones(n, dtype=np.float32),
            price=np.full(n, np.nan, dtype=np.float32),
            order_rows=np.full(n, -1, dtype=np.int32),
            country_rows=np.zeros(n, dtype=np.int32),
            channel_rows=np.full(n, -1, dtype=np.int32),
        ),
        catalog=Catalog(
            titles=list(titles or [None] * n_items),
            categories=list(categories or [None] * n_items),
            brands=[None] * n_items,
            attributes=[[] for _ in range(n_items)],
            price=np.full(n_items, np.nan, dtype=np.float32),
            available=np.ones(n_items, dtype=np.bool_),
            created_at_ms=np.zeros(n_items, dtype=np.int64),
            image_urls=[None] * n_items,
            urls=[None] * n_items,
            vectors=None,
        ),
    )


def checkerboard(n_users: int = 20, n_items: int = 16) -> Dataset:
    """Let even users have even items and odd ones odd items, one of theirs left out for each.

    So the right first answer for a user is known exactly: the one item of the same colour that is
    missing from the history. The idea is from implicit's tests.
    """
    rows = [
        (user, item, 60 + (item + user) % 30)
        for user in range(n_users)
        for item in range(n_items)
        if user % 2 == item % 2 and item != missing_item(user, n_items)
    ]
    titles = [f"{'white' if item % 2 else 'black'} square" for item in range(n_items)]
    return make_dataset(rows, n_users, n_items, titles=titles)


def missing_item(user: int, n_items: int = 16) -> int:
    """Name the item of a user's colour that the checkerboard leaves out."""
    return (user // 2 * 2) % n_items + user % 2
