"""The score of items for a history, against the sum written out."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.histories import Histories
from models.manifest import Blend
from models.scoring import (
    History,
    ScoredItems,
    _moments,
    decayed_weights,
    history_weights,
    recent_weights,
    score_history,
    score_parts,
)
from models.snapshot import Snapshot
from tests.unit.models.small_dataset import NOW_MS, make_dataset
from tests.unit.models.small_snapshot import make_snapshot, neighbours

DAY_MS = 86_400_000
ALL = 1_000


def history(*events: tuple[int, int, float]) -> History:
    """Make a history of (row, kind, age in days), seen from day 10."""
    return History(
        np.array([row for row, _, _ in events], dtype=np.int32),
        np.array([kind for _, kind, _ in events], dtype=np.int8),
        np.array([(10 - age) * DAY_MS for *_, age in events], dtype=np.int64),
    )


def score(snapshot: Snapshot, of: History, k: int = ALL) -> ScoredItems:
    """Score on day 10."""
    return score_history(snapshot, of, 10 * DAY_MS, k=k)


def test_score_is_the_sum_of_its_parts() -> None:
    """One view of the mug: graph, 0.5 times the product of factors, 0.1 times popularity.

    The mug adds (2, 0) to the factor of its user; as candidates mug, köpek and lamp have (1, 0),
    (0, 1) and (1, 1).
    """
    scored = score(make_snapshot(), history((0, 0, 0)))
    # the prior brings the mug itself and köpek up
    expected = {0: 0.5 * 2 + 0.1 * 1, 1: 0.8 + 0 + 0.1 * 0.5, 2: 0.2 + 0.5 * 2 + 0}
    assert scored.rows.tolist() == [2, 0, 1]
    assert scored.scores == pytest.approx([expected[2], expected[0], expected[1]])
    assert scored.because.tolist() == [0, -1, 0]


def test_weights_follow_kind_and_age() -> None:
    """A purchase (5) one half-life ago against a view (1) today: 2.5 to 1, order left aside."""
    snapshot = make_snapshot(blend=Blend(half_life_days=1.0, recency=0.0))
    scored = score(snapshot, history((0, 3, 1), (1, 0, 0)))
    graph, _, _ = score_parts(
        snapshot, history((0, 3, 1), (1, 0, 0)), 10 * DAY_MS, np.array([0, 1, 2], dtype=np.int32)
    )
    assert graph == pytest.approx([0.4 / 3.5, 0.8 * 2.5 / 3.5, 0.2 * 2.5 / 3.5])
    assert set(scored.rows.tolist()) == {0, 1, 2}


def test_order_of_moments_says_nothing_of_new_items() -> None:
    """Mug, then köpek, γ 1: the mug's share is 1/3, and 1/2 for the lamp, which nobody has had.

    The factors of the lamp go by the order: 0.5 · (1, 1) · (1/3 · (2, 0) + 2/3 · (0, 2)).
    """
    of, rows = history((0, 0, 2), (1, 0, 1)), np.array([0, 1, 2], dtype=np.int32)
    snapshot = make_snapshot(blend=Blend(half_life_days=1e9, recency=1.0, factor_weight=0.5))
    graph, _, _ = score_parts(snapshot, of, 10 * DAY_MS, rows)
    assert graph == pytest.approx([0.4 * 2 / 3, 0.8 / 3, 0.2 / 2])
    scored = score(snapshot, of)
    lamp = scored.rows.tolist().index(2)
    assert scored.scores[lamp] == pytest.approx(0.2 / 2 + 0.5 * (2 / 3 + 4 / 3))
    assert scored.because[lamp] == 0


@pytest.mark.parametrize("seed", range(3))
def test_scores_of_old_items_do_not_depend_on_new_ones(seed: int) -> None:
    """To the last bit, whether some items are new or none is."""
    snapshot, of = _random_shop(np.random.default_rng(seed))
    is_old = snapshot.items.n_interactions > 0
    without = replace(snapshot, items=replace(snapshot.items, n_interactions=np.ones(40, np.int32)))
    assert without.items.is_new is None
    found, wanted = score(snapshot, of), score(without, of)
    values = dict(zip(wanted.rows.tolist(), wanted.scores.tolist(), strict=True))
    for row, value in zip(found.rows.tolist(), found.scores.tolist(), strict=True):
        assert value == values[row] or not is_old[row]


def test_weights_follow_the_order_of_moments() -> None:
    """Two items of the newest moment count 1 each, the one two moments earlier 3^-2, in sum 1."""
    blend = Blend(half_life_days=1e9, recency=2.0)
    of = history((0, 0, 9), (2, 0, 5), (1, 0, 1), (3, 0, 1))
    assert history_weights(of, 10 * DAY_MS, blend) == pytest.approx([1 / 9, 1 / 4, 1, 1])


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4), st.integers(0, 5)), min_size=1))
def test_weights_of_a_batch_are_those_of_each_history(rows: list[tuple[int, int, int]]) -> None:
    """Online each history is weighed alone, offline all at once: the same numbers."""
    dataset = make_dataset(rows, n_users=3, n_items=5)
    histories = Histories.of(dataset.interactions, 3, NOW_MS)
    blend = Blend(half_life_days=3.0)
    batch = histories.weights(blend, 5).toarray()
    for user in range(3):
        one = histories.one(user)
        alone = np.zeros(5)
        alone[one.rows] = history_weights(one, NOW_MS, blend)
        np.testing.assert_allclose(batch[user], alone, rtol=1e-6)


@pytest.mark.parametrize("events", [[], [(0, 4, 0)]])
def test_nothing_liked_gives_no_candidates(events: list[tuple[int, int, float]]) -> None:
    """No history, or refunds alone."""
    assert len(score(make_snapshot(), history(*events)).rows) == 0


def test_best_k_are_the_first_of_all() -> None:
    """Whatever k, equals at the border are cut by row."""
    rng = np.random.default_rng(7)
    snapshot, of = _random_shop(rng)
    everything = score(snapshot, of)
    for k in (1, 2, 7, 20, len(everything.rows), ALL):
        cut = score(snapshot, of, k)
        assert cut.rows.tolist() == everything.rows[:k].tolist()
        assert cut.because.tolist() == everything.because[:k].tolist()


@pytest.mark.parametrize("seed", range(5))
def test_scores_are_those_of_the_plain_sum(seed: int) -> None:
    """The fast way and one loop over everything agree, and so do the parts."""
    snapshot, of = _random_shop(np.random.default_rng(seed))
    scored = score(snapshot, of)
    for row, value, speaker in zip(scored.rows, scored.scores, scored.because, strict=True):
        parts = _plain_parts(snapshot, of, int(row))
        assert value == pytest.approx(sum(parts.values()) + _rest(snapshot, of, int(row)), abs=1e-5)
        if parts:
            assert parts[int(speaker)] == pytest.approx(max(parts.values()), abs=1e-6)
        else:
            assert speaker == -1
    graph, factors, popularity = score_parts(snapshot, of, 10 * DAY_MS, scored.rows)
    assert graph + factors + popularity == pytest.approx(scored.scores, abs=1e-5)


def _random_shop(rng: np.random.Generator) -> tuple[Snapshot, History]:
    """Make 40 items with coarse weights, so that scores tie, and a history of six of them."""
    small, n_items = make_snapshot(), 40
    graph = neighbours(
        [
            {int(row): float(rng.integers(1, 4)) / 4 for row in rng.choice(n_items, 8, False)}
            for _ in range(n_items)
        ]
    )
    items = replace(
        small.items,
        ids=type(small.items.ids).from_ids(f"i{row}" for row in range(n_items)),
        factors=rng.integers(0, 2, (n_items, 2)).astype(np.float32),
        fold_in=rng.integers(0, 2, (n_items, 2)).astype(np.float32),
        popularity=(rng.integers(0, 3, n_items) / 2).astype(np.float32),
        n_interactions=rng.integers(0, 3, n_items, dtype=np.int32),
    )
    rows: NDArray[np.int64] = rng.choice(n_items, 6, replace=False)
    events = [(int(row), int(rng.integers(0, 4)), float(rng.integers(0, 3))) for row in rows]
    return replace(small, graph=graph, items=items), history(*events)


def _plain_parts(snapshot: Snapshot, of: History, row: int) -> dict[int, float]:
    """Return what each of the newest two items gives to `row` through the graph."""
    parts = {}
    is_new = snapshot.items.n_interactions[row] == 0
    for speaker, weight in _plain_weights(snapshot, of, ordered=not is_new).items():
        rows, values = snapshot.graph[speaker]
        if row in rows:
            parts[speaker] = weight * float(values[rows == row][0])
    return parts


def _rest(snapshot: Snapshot, of: History, row: int) -> float:
    factors, blend = snapshot.items.factors, snapshot.manifest.blend
    fold_in = snapshot.items.fold_in
    user = sum(
        weight * fold_in[speaker] for speaker, weight in _plain_weights(snapshot, of).items()
    )
    return float(
        blend.factor_weight * (factors[row] @ user)
        + blend.popularity_weight * snapshot.items.popularity[row]
    )


def _plain_weights(snapshot: Snapshot, of: History, *, ordered: bool = True) -> dict[int, float]:
    blend = snapshot.manifest.blend
    newest = list(zip(of.rows, of.kinds, of.at_ms, strict=True))[-blend.max_recent :]
    moments = sorted({at_ms for *_, at_ms in newest}, reverse=True)
    weights = {
        int(row): blend.event_weights[kind]
        * 2.0 ** (-(10 * DAY_MS - at_ms) / DAY_MS / blend.half_life_days)
        * (1 + moments.index(at_ms)) ** (-blend.recency * ordered)
        for row, kind, at_ms in newest
    }
    total = sum(weights.values())
    return {row: weight / total for row, weight in weights.items()}


def test_moments_are_numbered_whatever_their_order() -> None:
    """Equal times share a number; the short cut for ascending times gives the same."""
    for at_ms in ([5, 5, 9, 12, 12], [9, 5, 12, 5, 12], [7], []):
        times = np.array(at_ms, dtype=np.int64)
        assert _moments(times).tolist() == [sorted(set(at_ms)).index(at) for at in at_ms]


@given(st.lists(st.integers(1, 10**9), max_size=120, unique=True))
def test_moments_that_all_differ_take_a_shorter_way(at_ms: list[int]) -> None:
    """It gives the same weights to the last bit as numbering the moments does."""
    blend = Blend(half_life_days=3.0, recency=0.7)
    times = np.array(sorted(at_ms), dtype=np.int64)
    n = len(times)
    one = History(np.arange(n, dtype=np.int32), (np.arange(n) % 4).astype(np.int8), times)
    decayed = decayed_weights(one.kinds, times, 10**9, blend)
    numbered = recent_weights(decayed, np.arange(n)[::-1], blend)
    assert history_weights(one, 10**9, blend).tobytes() == numbered.tobytes()
