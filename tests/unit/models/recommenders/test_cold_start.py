"""Cold start, rung by rung: what is recommended where little or nothing is known."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from models.dataset import Dataset
from models.histories import Histories
from models.manifest import Blend
from models.recommenders.doubt import doubt_of
from models.recommenders.hybrid import Hybrid
from models.recommenders.moments import Moments
from models.recommenders.parity import weight_of_new
from models.scoring import MS_PER_DAY
from tests.unit.models.recommenders.behaviour import SETTINGS, all_histories
from tests.unit.models.small_dataset import NOW_MS, make_dataset

N_MUGS = 8
"""Items 0 to 7 are mugs, 8 to 15 lamps; users 0 to 19 buy mugs, 20 to 39 lamps."""
MUG_FAN, LAMP_FAN, NEWCOMER, ONE_VIEW = 0, 20, 40, 41
COLOURS = ["red", "blue"]


def shop(*extra_titles: str | None, rows: tuple[tuple[int, int, int], ...] = ()) -> Dataset:
    """Make the shop of mugs and lamps, with more items behind and more interactions."""
    rng = np.random.default_rng(3)
    bought = [
        (user, int(item) + N_MUGS * (user // 20), 50 + place)
        for user in range(40)
        for place, item in enumerate(rng.permutation(N_MUGS)[:5])
    ]
    titles: list[str | None] = [
        f"{COLOURS[item % 2]} {'mug' if item < N_MUGS else 'lamp'}" for item in range(2 * N_MUGS)
    ]
    titles += extra_titles
    return make_dataset([*bought, *rows], 42, len(titles), titles=titles)


def scores(dataset: Dataset) -> NDArray[np.float32]:
    """Fit the hybrid and score every user."""
    fitted = Hybrid.fit(dataset, SETTINGS, now_ms=NOW_MS, seed=1)
    return fitted.score(all_histories(dataset))


def test_item_without_interactions_is_met_by_who_likes_its_kind() -> None:
    """A new mug is liked by the buyer of mugs, a new lamp by the one of lamps."""
    found = scores(shop("blue mug", "red lamp"))
    new_mug, new_lamp = 16, 17
    assert found[MUG_FAN, new_mug] > found[MUG_FAN, new_lamp]
    assert found[LAMP_FAN, new_lamp] > found[LAMP_FAN, new_mug]
    assert found[MUG_FAN, new_mug] > 0


def test_new_items_get_their_share_of_the_first_places() -> None:
    """Ten of forty items are new and get a fourth of the four first places of each user."""
    rng = np.random.default_rng(1)
    old = rng.random((500, 40)).astype(np.float32)
    new = rng.random((500, 10)).astype(np.float32)
    is_new = np.arange(40) >= 30
    weight = weight_of_new(old, new, is_new, wanted_share=0.25)
    both = np.concatenate([old[:, ~is_new], weight * new], axis=1)
    first = np.argsort(-both, axis=1)[:, :4]
    assert (first >= 30).mean() == pytest.approx(0.25, abs=0.01)
    assert weight_of_new(old, new, is_new, wanted_share=0.0) == 0.0


def test_item_with_three_interactions_is_known_by_them_and_by_its_kind() -> None:
    """Three buyers of mugs bought a thing without a title: other buyers of mugs are told."""
    rows = tuple((user, 16, 60) for user in range(1, 4))
    found = scores(shop(None, rows=rows))
    assert found[MUG_FAN, 16] > found[LAMP_FAN, 16]
    named = scores(shop("blue mug", rows=rows))
    assert named[MUG_FAN, 16] > named[LAMP_FAN, 16]


def test_first_buyers_of_an_item_do_it_no_harm() -> None:
    """With one buyer, two, three or four a new mug stands no lower for the others than with none.

    Its own few interactions and its attributes are blended; either alone would push it down.
    """
    others = slice(6, 20)
    places = []
    for n in range(5):
        found = scores(shop("blue mug", rows=tuple((user, 16, 60) for user in range(1, 1 + n))))
        places.append(float((found[others] > found[others, 16:17]).sum(axis=1).mean()))
    assert max(places[1:]) <= places[0]


def test_doubt_fades_with_users_and_age() -> None:
    """Of 0, 1 and 5 users: 1, 4/5 and 0; where there is a clock, e^-1 of it after 28 days."""
    day = int(MS_PER_DAY)
    n_users_of = np.array([0, 1, 5])
    without = make_dataset([(0, 1, 72)] + [(user, 2, 72) for user in range(5)], 5, 3)
    moments = Moments.of(without, Blend(), max_per_user=9)
    found = doubt_of(moments, n_users_of, 100 * day, days=28)
    np.testing.assert_allclose(found, [1.0, 0.8, 0.0], rtol=1e-6)
    clock = make_dataset([(0, 1, 72), (1, 2, 90), (2, 2, 91), (2, 2, 95)], 3, 3)
    moments = Moments.of(clock, Blend(), max_per_user=9)
    assert moments.has_clock
    found = doubt_of(moments, n_users_of, 100 * day, days=28)
    np.testing.assert_allclose(found, [1.0, 0.8 / np.e, 0.0], rtol=1e-6)


def test_user_without_history_gets_what_is_popular() -> None:
    """With nothing to go by the order is that of popularity; the context's lists come before."""
    dataset = shop(rows=tuple((user, 3, 99) for user in range(40)))
    fitted = Hybrid.fit(dataset, SETTINGS, now_ms=NOW_MS, seed=1)
    found = fitted.score(all_histories(dataset))
    assert found[NEWCOMER].argmax() == 3
    order = np.argsort(-found[NEWCOMER], kind="stable")
    assert (np.diff(fitted.popularity[order]) <= 0).all()


def test_user_with_one_view_gets_its_kind() -> None:
    """One view of a mug, and the seven best others are mugs."""
    dataset = shop(rows=((ONE_VIEW, 2, 99),))
    found = scores(dataset)[ONE_VIEW]
    found[2] = -np.inf
    assert sorted(np.argsort(-found)[: N_MUGS - 1].tolist()) == [0, 1, 3, 4, 5, 6, 7]


def test_one_view_of_a_new_item_speaks_for_its_kind() -> None:
    """Who looked at nothing but a new mug has, by likeness, a taste for mugs."""
    dataset = shop("blue mug")
    fitted = Hybrid.fit(dataset, SETTINGS, now_ms=NOW_MS, seed=1)
    one = make_dataset([(0, 16, 99)], 1, 17)
    found = fitted.score(Histories.of(one.interactions, 1, NOW_MS))[0]
    assert found[:N_MUGS].mean() > found[N_MUGS : 2 * N_MUGS].mean()
    assert found[: 2 * N_MUGS].argmax() < N_MUGS


def test_attribute_never_seen_says_nothing() -> None:
    """A new item whose every word is new falls back to its popularity, which is none."""
    found = scores(shop("zeppelin", "blue mug"))
    assert np.isfinite(found).all()
    assert found[MUG_FAN, 16] == pytest.approx(0.0, abs=1e-6)
    assert found[MUG_FAN, 17] > 0


def test_vectors_of_the_catalogue_stand_for_attributes() -> None:
    """Without any words a ready-made vector tells a new mug from a new lamp."""
    plain = shop(None, None)
    nothing: list[str | None] = [None] * 18
    vectors = np.zeros((18, 3), dtype=np.float32)
    vectors[:N_MUGS, 0] = vectors[16, 0] = vectors[N_MUGS:16, 1] = vectors[17, 1] = 1.0
    dataset = replace(plain, catalog=replace(plain.catalog, titles=nothing, vectors=vectors))
    found = scores(dataset)
    assert found[MUG_FAN, 16] > found[MUG_FAN, 17]
    assert found[LAMP_FAN, 17] > found[LAMP_FAN, 16]


def test_no_attributes_at_all_leaves_what_people_do() -> None:
    """With a blank catalogue old items are told apart as ever, and new ones score nothing."""
    plain = shop(None)
    nothing: list[str | None] = [None] * 17
    found = scores(replace(plain, catalog=replace(plain.catalog, titles=nothing)))
    assert found[MUG_FAN, :N_MUGS].mean() > found[MUG_FAN, N_MUGS:16].mean()
    assert found[MUG_FAN, 16] == pytest.approx(0.0, abs=1e-6)
