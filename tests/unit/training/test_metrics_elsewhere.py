"""The metrics against scikit-learn, which works them out its own way."""

import numpy as np
import pytest
from sklearn.metrics import ndcg_score, recall_score

from training.metrics import hit_rate, ndcg, recall, top_lists


@pytest.mark.parametrize("k", [1, 5, 10, 20])
def test_metrics_are_those_of_scikit_learn(k: int) -> None:
    """For 200 users, 50 items and one to eight test items each, user by user."""
    rng = np.random.default_rng(6)
    scores = rng.permuted(np.tile(np.arange(50), (200, 1)), axis=1).astype(np.float32)
    relevant = np.zeros((200, 50), dtype=bool)
    for row in relevant:
        row[rng.choice(50, int(rng.integers(1, 9)), replace=False)] = True
    lists = top_lists(scores, np.arange(50), k)
    hits = np.take_along_axis(relevant, lists, axis=1)
    n_relevant = relevant.sum(axis=1)
    listed = np.zeros_like(relevant)
    np.put_along_axis(listed, lists, True, axis=1)
    for user in range(200):
        expected = recall_score(relevant[user], listed[user])
        assert recall(hits, n_relevant, k)[user] == pytest.approx(expected)
        if k > 1:
            gain = ndcg_score(relevant[[user]], scores[[user]], k=k)
            assert ndcg(hits, n_relevant, k)[user] == pytest.approx(gain)
        assert hit_rate(hits, k)[user] == float((relevant[user] & listed[user]).any())
