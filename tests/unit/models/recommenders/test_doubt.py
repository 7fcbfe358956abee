"""What items in doubt get of the first places, where a clock tells how such items fared."""

import numpy as np
import pytest

from models.dataset import Dataset
from models.manifest import Blend
from models.recommenders.doubt import LEAST_SHARE, share_of_places
from models.recommenders.hybrid import Hybrid
from models.recommenders.moments import Moments
from models.scoring import MS_PER_DAY
from tests.unit.models.recommenders.behaviour import SETTINGS, all_histories
from tests.unit.models.small_dataset import NOW_MS, Row, make_dataset

N_ITEMS = 10
BEFORE: tuple[Row, ...] = tuple(
    (user, item, day + 10 * user) for user in range(6) for item, day in ((0, 0), (1, 10))
)
"""Items 0 and 1 have six buyers each before day 80, where the last fifth of the log begins."""
LATER: tuple[Row, ...] = ((6, 0, 90), (7, 0, 90), (8, 0, 95), (9, 2, 100))
"""Four choices, one of them of an item that nobody had before."""
DOUBT = np.array([0.0, 0.0, 0.8] + [1.0] * 7, dtype=np.float32)
"""Of that item's one buyer is left 4/5; seven items have never sold: .78 of the catalogue."""


def share(
    rows: tuple[Row, ...] = BEFORE + LATER,
    *,
    doubt: np.ndarray = DOUBT,
    created_days: dict[int, int] | None = None,
    blank_items: tuple[int, ...] = (),
) -> float:
    """Work the share out for the small shop; what has no day of creation was always there."""
    moments = Moments.of(make_dataset(rows, 10, N_ITEMS), Blend(), max_per_user=9)
    days = created_days or {}
    return share_of_places(
        doubt,
        moments,
        created_at_ms=np.array([int(days.get(item, 0) * MS_PER_DAY) for item in range(N_ITEMS)]),
        is_described=~np.isin(np.arange(N_ITEMS), blank_items),
        days=28.0,
    )


def test_share_is_the_catalogues_times_how_such_items_fared() -> None:
    """Eight items that had not sold by day 80 got one choice since, and the two others three."""
    assert share() == pytest.approx(0.78 * (1 / 8) / (3 / 2))


def test_items_that_came_later_are_not_held_against_new_ones() -> None:
    """Seven were put up on day 85: before them there were one in doubt and two others."""
    found = share(created_days=dict.fromkeys(range(3, N_ITEMS), 85))
    assert found == pytest.approx(0.78 * (1 / 1) / (3 / 2))
    later_still = share(created_days=dict.fromkeys(range(2, N_ITEMS), 85))
    assert later_still == pytest.approx(0.78)


def test_one_place_of_twenty_is_kept_for_new_items() -> None:
    """Nobody chose anything new, or what was chosen has no attributes by which it could be told."""
    assert share(BEFORE + LATER[:3]) == LEAST_SHARE == 1 / 20
    assert share(blank_items=(2,)) == LEAST_SHARE


def test_share_is_the_catalogues_where_the_past_does_not_tell() -> None:
    """Without a clock, without first choices lately, and where little of the catalogue is new."""
    without_clock = tuple((user, item, 50) for user, item, _ in BEFORE + LATER)
    assert share(without_clock) == pytest.approx(0.78)
    again = ((0, 0, 100), (1, 1, 100))
    assert share(BEFORE + again) == pytest.approx(0.78)
    few = np.where(np.arange(N_ITEMS) == 9, 0.4, 0.0).astype(np.float32)
    assert share(doubt=few) == pytest.approx(0.04)


def hardly_selling(n_sold: int = 60, n_items: int = 600) -> Dataset:
    """Make a shop of mugs and lamps where one item of ten sells, and always the same ones."""
    rng = np.random.default_rng(3)
    kind = np.arange(n_items) % 2
    rows = [
        (user, int(item), 20 + 4 * place + int(rng.integers(4)))
        for user in range(60)
        for place, item in enumerate(
            rng.permutation(np.flatnonzero(kind[:n_sold] == user % 2))[:12]
        )
    ]
    words = rng.integers(0, 30, (n_items, 3))
    titles = [
        " ".join([("mug", "lamp")[kind[item]], *(f"word{word}" for word in words[item])])
        for item in range(n_items)
    ]
    return make_dataset(rows, 60, n_items, titles=titles)


def test_what_never_sells_leaves_the_first_places_to_what_sells() -> None:
    """Nine of ten items have never sold, and get less than a fifth of the first twenty places."""
    dataset = hardly_selling()
    fitted = Hybrid.fit(dataset, SETTINGS, now_ms=NOW_MS, seed=1)
    histories = all_histories(dataset)
    scores = fitted.score(histories)
    owners = np.repeat(np.arange(len(histories)), np.diff(histories.items.offsets))
    scores[owners, histories.items.rows] = -np.inf
    first = np.argsort(-scores, axis=1)[:, :20]
    assert 0 < float((first >= 60).mean()) < 0.2
