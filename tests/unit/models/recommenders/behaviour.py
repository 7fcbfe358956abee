"""What every recommender must do; a test class of three lines runs all of it on a new one."""

import numpy as np
import pytest

from models.dataset import Dataset
from models.histories import Histories
from models.recommenders.recommender import Recommender
from models.recommenders.settings import Settings
from tests.unit.models.small_dataset import NOW_MS, checkerboard, make_dataset, missing_item

SETTINGS = Settings(factors=8, content_dimensions=8)


def all_histories(dataset: Dataset) -> Histories:
    """Collect the histories of every user."""
    return Histories.of(dataset.interactions, dataset.n_users, NOW_MS)


class RecommenderBehaviour:
    """Subclass it and name the recommender in `kind`."""

    kind: type[Recommender]

    def fit(self, dataset: Dataset, seed: int = 1) -> Recommender:
        """Fit with small settings."""
        return self.kind.fit(dataset, SETTINGS, now_ms=NOW_MS, seed=seed)

    def test_scores_have_shape_and_are_finite(self) -> None:
        """Every user gets a finite float32 score for every item: no padding, no id 0 by default."""
        dataset = checkerboard()
        scores = self.fit(dataset).score(all_histories(dataset))
        assert scores.shape == (20, 16)
        assert scores.dtype == np.float32
        assert np.isfinite(scores).all()

    def test_second_fit_equals_first(self) -> None:
        """Fitting again starts anew."""
        dataset = checkerboard()
        first, second = (self.fit(dataset).to_arrays() for _ in range(2))
        assert first.keys() == second.keys()
        assert all(np.array_equal(first[name], second[name]) for name in first)

    def test_score_is_the_same_after_save_and_load(self) -> None:
        """What is learnt is in the arrays."""
        dataset = checkerboard()
        fitted, histories = self.fit(dataset), all_histories(dataset)
        loaded = self.kind.from_arrays(fitted.to_arrays(), SETTINGS)
        assert np.array_equal(fitted.score(histories), loaded.score(histories))

    def test_single_equals_batch(self) -> None:
        """A user alone gets the scores that the user gets in company."""
        dataset = checkerboard()
        fitted, histories = self.fit(dataset), all_histories(dataset)
        batch = fitted.score(histories)
        for user in (0, 7, 19):
            single = fitted.score(histories.take(np.array([user])))
            np.testing.assert_allclose(single[0], batch[user], rtol=1e-4, atol=1e-6)

    def test_scoring_nobody_gives_no_rows(self) -> None:
        """No users in, no rows out."""
        dataset = checkerboard()
        nobody = all_histories(dataset).take(np.array([], dtype=np.int64))
        assert self.fit(dataset).score(nobody).shape == (0, 16)

    def test_user_without_history_is_scored_without_taste(self) -> None:
        """An empty history gives finite scores that prefer no colour over its popularity."""
        dataset = make_dataset([(0, 0, 90), (1, 1, 90)], n_users=3, n_items=2)
        scores = self.fit(dataset).score(all_histories(dataset))
        assert np.isfinite(scores[2]).all()
        assert scores[2, 0] == pytest.approx(scores[2, 1])

    def test_one_item_and_one_user(self) -> None:
        """The smallest shop can be fitted, whatever the number of factors asked for."""
        dataset = make_dataset([(0, 0, 90)], n_users=1, n_items=1, titles=["mug"])
        scores = self.fit(dataset).score(all_histories(dataset))
        assert scores.shape == (1, 1)
        assert np.isfinite(scores).all()

    def test_dataset_without_interactions(self) -> None:
        """A shop that opens tomorrow has scores, all alike."""
        dataset = make_dataset([], n_users=1, n_items=3)
        scores = self.fit(dataset).score(all_histories(dataset))
        assert scores.tolist() == [[0.0, 0.0, 0.0]]

    def test_item_nobody_knows_scores_no_higher_than_a_known_one(self) -> None:
        """An item without interactions and attributes is never the best."""
        dataset = make_dataset(
            [(user, item, 90) for user in range(4) for item in range(3)], n_users=5, n_items=4
        )
        scores = self.fit(dataset).score(all_histories(dataset))
        assert (scores[:, 3] <= scores[:, :3].max(axis=1)).all()


class PersonalBehaviour(RecommenderBehaviour):
    """And of one that learns tastes from what users do."""

    def test_finds_the_missing_square(self) -> None:
        """On the checkerboard the best new item of a user is the one of the user's colour."""
        dataset = checkerboard()
        scores = self.fit(dataset).score(all_histories(dataset))
        seen = dataset.interactions
        scores[seen.user_rows, seen.item_rows] = -np.inf
        assert scores.argmax(axis=1).tolist() == [missing_item(user) for user in range(20)]
