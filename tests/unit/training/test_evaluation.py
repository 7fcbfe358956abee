"""Splitting, ranking, metrics and the gate, on numbers worked out by hand."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.dataset import Dataset
from models.histories import Histories
from models.manifest import Interval
from models.recommenders.settings import Settings
from models.scoring import MS_PER_DAY
from models.vocabulary import Vocabulary
from tests.unit.models.small_dataset import make_dataset
from training.evaluate import evaluate, intervals_of, paired_difference
from training.gate import decide
from training.metrics import (
    NO_ITEM,
    bootstrap,
    draw_lots,
    hit_rate,
    ndcg,
    recall,
    top_lists,
)
from training.refunds import take_back
from training.split import Split, split_newest, unseen_pairs


@dataclass(frozen=True)
class Fixed:
    """A recommender whose scores are given."""

    name: ClassVar[str] = "fixed"
    scores: NDArray[np.float32]

    @classmethod
    def fit(cls, dataset: Dataset, settings: Settings, *, now_ms: int, seed: int) -> Self:
        """Nothing is learnt."""
        raise NotImplementedError

    def score(self, histories: Histories) -> NDArray[np.float32]:
        """Give everybody the same scores."""
        return np.tile(self.scores, (len(histories), 1))

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Nothing is kept."""
        return {}

    @classmethod
    def from_arrays(cls, arrays: Any, settings: Settings) -> Self:
        """Nothing is opened."""
        raise NotImplementedError


def _scores(*values: float) -> NDArray[np.float32]:
    return np.array(values, dtype=np.float32)


def _rows(*values: int) -> NDArray[np.int32]:
    return np.array(values, dtype=np.int32)


def _lots(n: int) -> NDArray[np.int64]:
    return np.arange(n)[::-1]


def test_lists_begin_with_the_best() -> None:
    """The highest score stands first; what is no candidate (-inf) leaves its place empty."""
    scores = _scores(0.1, 0.9, 0.5, -np.inf)[np.newaxis]
    assert top_lists(scores, _lots(4), 5).tolist() == [[1, 2, 0, NO_ITEM, NO_ITEM]]


def test_ties_go_by_lot() -> None:
    """Among equals the lot decides, at the end of the list too; here the later row wins."""
    scores = np.stack([_scores(1, 1, 1, 1), _scores(2, 1, 1, 1)])
    assert top_lists(scores, _lots(4), 2).tolist() == [[3, 2], [0, 3]]


def test_lots_depend_on_the_id_alone() -> None:
    """An item keeps its place among others wherever its row is; every place is given once."""
    first = draw_lots(Vocabulary.from_ids(["mug", "köpek", "lamp"]))
    second = draw_lots(Vocabulary.from_ids(["lamp", "mug", "köpek"]))
    assert first.tolist() == second[[1, 2, 0]].tolist()
    assert sorted(first.tolist()) == [0, 1, 2]


@given(
    st.lists(st.lists(st.integers(0, 3), min_size=7, max_size=7), max_size=4),
    st.permutations(range(7)),
    st.integers(1, 9),
)
def test_lists_are_those_of_a_sort(rows: list[list[int]], lots: list[int], k: int) -> None:
    """A list is the beginning of all items sorted by score, then lot."""
    scores = np.array(rows, dtype=np.float32).reshape(-1, 7)
    found = top_lists(scores, np.array(lots), k)
    for row, places in zip(rows, found.tolist(), strict=True):
        order = sorted(range(7), key=lambda item: (-row[item], lots[item]))
        assert places == (order + [NO_ITEM] * 2)[:k]


def test_long_lists_are_those_of_a_sort() -> None:
    """Rows long enough to be looked at in pieces, with few and with many equal scores."""
    rng = np.random.default_rng(3)
    scores = rng.integers(0, [[3], [40], [10**6]], size=(3, 3_000)).astype(np.float32)
    scores[:, ::3] = -np.inf
    lots = rng.permutation(3_000)
    found = top_lists(scores, lots, 20)
    for row, line in enumerate(scores):
        assert found[row].tolist() == np.lexsort((lots, -line))[:20].tolist()


def test_constant_scores_are_no_better_than_chance() -> None:
    """Of 400 users with one random item each, about a tenth finds it on 10 of 100 places."""
    rng = np.random.default_rng(5)
    train = make_dataset([(0, 0, 1)], n_users=400, n_items=100)
    split = Split(
        train,
        np.arange(400, dtype=np.int32),
        rng.integers(0, 100, 400).astype(np.int32),
        now_ms=0,
    )
    found = evaluate(Fixed(np.ones(100, dtype=np.float32)), split, (10,))
    assert found.metrics["recall@10"] == pytest.approx(0.1, abs=0.05)


def test_metrics_by_hand() -> None:
    """Two of three test items at places 1 and 3, k = 3."""
    hits, n_relevant = np.array([[True, False, True]]), np.array([3])
    assert recall(hits, n_relevant, 3) == pytest.approx([2 / 3])
    assert hit_rate(hits, 3).tolist() == [1.0]
    ideal = 1 + 1 / np.log2(3) + 1 / 2
    assert ndcg(hits, n_relevant, 3) == pytest.approx([(1 + 1 / 2) / ideal])
    assert hit_rate(hits[:, 1:], 1).tolist() == [0.0]


def test_ndcg_is_one_when_the_list_is_full_of_hits() -> None:
    """With more test items than places a list of hits only is perfect."""
    assert ndcg(np.array([[True, True]]), np.array([4]), 2) == pytest.approx([1.0])


def test_evaluate_leaves_out_what_the_user_had() -> None:
    """User 0 had item 0, so item 1 is first; coverage counts both users' lists."""
    train = make_dataset([(0, 0, 1), (1, 2, 1)], n_users=3, n_items=4)
    split = Split(train, _rows(0, 1), _rows(1, 3), now_ms=0)
    found = evaluate(Fixed(_scores(4, 3, 2, 1)), split, (1, 2))
    assert found.per_user["hit_rate@1"].tolist() == [1.0, 0.0]
    assert found.per_user["recall@2"].tolist() == [1.0, 0.0]
    # Lists of length 2: items 1, 2 and items 0, 1, of four.
    assert found.overall["coverage@2"] == pytest.approx(3 / 4)
    # Items 0 and 2 are known to one of three users: -log2(2/4) = 1; item 1 to none: 2.
    assert found.overall["novelty@2"] == pytest.approx((2 + 1 + 1 + 2) / 4)


def test_evaluate_new_has_only_new_candidates() -> None:
    """With only_new, item 0 is no candidate, and who has no new test item is not counted."""
    train = make_dataset([(0, 0, 1)], n_users=2, n_items=3)
    split = Split(train, _rows(0, 1, 1), _rows(2, 0, 2), now_ms=0)
    found = evaluate(Fixed(_scores(9, 2, 1)), split, (1, 2), only_new=True)
    assert found.per_user["recall@1"].tolist() == [0.0, 0.0]
    assert found.per_user["recall@2"].tolist() == [1.0, 1.0]


def test_evaluate_counts_an_unknown_test_item() -> None:
    """A test item that nobody can rank halves the recall."""
    train = make_dataset([(0, 0, 1)], n_users=1, n_items=2)
    found = evaluate(Fixed(_scores(1, 2)), Split(train, _rows(0, 0), _rows(1, -1), 0), (5,))
    assert found.per_user["recall@5"].tolist() == [0.5]


def test_split_cuts_by_time_and_keeps_only_new_pairs() -> None:
    """Of 100 days the last 20 are the test, as 28 days would be more than a fifth."""
    rows = [(0, 0, 0), (0, 1, 50), (0, 1, 90), (1, 0, 95), (1, 2, 100)]
    split = split_newest(make_dataset(rows, 2, 3), seed=1)
    assert split.now_ms == 80 * MS_PER_DAY
    assert len(split.train.interactions) == 2
    assert split.test_users.tolist() == [1, 1]
    assert split.test_items.tolist() == [0, 2]
    assert split.n_users == 1


def test_split_without_time_is_random_and_repeatable() -> None:
    """Where all moments are equal about a fifth is the test, the same one for a seed."""
    dataset = make_dataset([(user, item, 5) for user in range(20) for item in range(50)], 20, 50)
    first, second = (split_newest(dataset, seed=3) for _ in range(2))
    assert first.test_items.tolist() == second.test_items.tolist()
    assert 150 < len(first.test_items) < 250


def test_unseen_pairs_are_distinct() -> None:
    """A pair counts once, and not if it was seen."""
    users, items = unseen_pairs(_rows(0), _rows(1), _rows(0, 0, 0, 1), _rows(1, 2, 2, 1), 3)
    assert list(zip(users.tolist(), items.tolist(), strict=True)) == [(0, 2), (1, 1)]


def test_bootstrap_holds_the_mean() -> None:
    """The interval holds the mean, is of one point for a constant, and repeats with the seed."""
    values = np.arange(100, dtype=np.float64)
    first, second = (bootstrap(values, np.random.default_rng(1)) for _ in range(2))
    assert first == second
    assert first.low < first.value < first.high
    assert first.value == 49.5
    # The standard error is 28.9 / 10; a 95 % interval is about four of them wide.
    assert 9 < first.high - first.low < 14
    assert bootstrap(np.full(5, 2.0), np.random.default_rng(1)).low == 2.0
    assert bootstrap(np.empty(0), np.random.default_rng(1)).value == 0.0


def test_every_recommender_is_resampled_alike() -> None:
    """Measured beside others, a recommender has the interval that it has alone."""
    shop = make_dataset([(user, user % 3, 1) for user in range(9)], n_users=9, n_items=3)
    split = Split(
        shop,
        np.arange(9, dtype=np.int32),
        np.array([1, 2, 0] * 2 + [2, 0, 0], dtype=np.int32),
        now_ms=0,
    )
    both = {
        name: evaluate(Fixed(np.array(scores, dtype=np.float32)), split, (1, 2))
        for name, scores in (("first", [3, 2, 1]), ("second", [1, 3, 2]))
    }
    together = intervals_of(both, seed=4)
    assert together == {name: intervals_of({name: one}, 4)[name] for name, one in both.items()}
    assert together["first"]["recall@1"].value == both["first"].metrics["recall@1"]


def test_paired_difference_is_over_the_same_users() -> None:
    """What one is better at than the other, user by user."""
    train = make_dataset([(0, 0, 1)], n_users=3, n_items=3)
    split = Split(train, _rows(1, 2), _rows(1, 1), now_ms=0)
    good, bad = (
        evaluate(Fixed(scores), split, (1,)) for scores in (_scores(0, 1, 0), _scores(1, 0, 0))
    )
    assert paired_difference(good, bad, "ndcg@1", seed=1) == Interval(value=1.0, low=1.0, high=1.0)


def _interval(value: float, width: float) -> Interval:
    return Interval(value=value, low=value - width, high=value + width)


@pytest.mark.parametrize(
    ("popularity", "live", "verdict"),
    [
        (0.02, None, "first"),
        (0.02, _interval(0.0, 0.01), "passed"),
        (0.02, _interval(-0.01, 0.02), "passed"),
        (0.02, _interval(-0.03, 0.02), "refused"),
        (0.0, None, "refused"),
        (-0.02, _interval(0.1, 0.02), "refused"),
    ],
)
def test_gate_verdicts(popularity: float, live: Interval | None, verdict: str) -> None:
    """Better than popularity, and not surely worse than live."""
    arguments: dict[str, Any] = {
        "n_users": 10,
        "against_popularity": _interval(popularity, 0.01),
        "against_live": live,
        "live": None if live is None else "0123456789abcdef",
    }
    assert decide(**arguments, is_forced=False).verdict == verdict
    forced = decide(**arguments, is_forced=True)
    assert forced.verdict == ("forced" if verdict == "refused" else verdict)


def test_gate_refuses_what_cannot_be_measured() -> None:
    """Without a test user nothing is shown."""
    gate = decide(n_users=0, against_popularity=None, against_live=None, live=None, is_forced=False)
    assert gate.verdict == "refused"
    assert "no user chose anything new" in gate.reason


def test_refunds_take_back_the_newest_purchases_first() -> None:
    """Bought 2, then 3; 4 come back: 1 of the first is left. An earlier refund is void."""
    dataset = make_dataset([(0, 0, day) for day in (1, 2, 3, 4)], 1, 1)
    rows = dataset.interactions
    rows.kinds[:] = [4, 3, 3, 4]
    rows.quantity[:] = [9, 2, 3, 4]
    left = take_back(rows)
    assert left.at_ms.tolist() == [2 * MS_PER_DAY]
    assert left.quantity.tolist() == [1.0]


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1), st.booleans(), st.integers(1, 3))))
def test_refunds_never_take_more_than_was_bought(
    events: list[tuple[int, int, bool, int]],
) -> None:
    """Per user and item what is left is never negative, never more than bought, and others stay."""
    dataset = make_dataset([(user, item, 1) for user, item, _, _ in events], 2, 2)
    rows = dataset.interactions
    rows.kinds[:] = [4 if is_refund else 3 for _, _, is_refund, _ in events]
    rows.quantity[:] = [quantity for *_, quantity in events]
    left = take_back(rows)
    assert (left.quantity > 0).all()
    for user in range(2):
        for item in range(2):
            balance = 0
            for owner, thing, is_refund, quantity in events:
                if (owner, thing) == (user, item):
                    balance = max(balance - quantity, 0) if is_refund else balance + quantity
            chosen = (left.user_rows == user) & (left.item_rows == item)
            assert left.quantity[chosen].sum() == balance
