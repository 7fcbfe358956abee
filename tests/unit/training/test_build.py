"""A snapshot says what its dataset says, and scores as the evaluation did."""

import json

import numpy as np

from models.dataset import Dataset
from models.histories import Histories
from models.recommenders.content import embed
from models.recommenders.hybrid import Hybrid
from models.recommenders.settings import Settings
from models.scoring import score_history
from models.snapshot import Snapshot
from tests.unit.models.small_dataset import NOW_MS, checkerboard, make_dataset
from tests.unit.models.small_snapshot import make_manifest
from training.build import build_snapshot

SETTINGS = Settings(factors=8, content_dimensions=8)


def _build() -> tuple[Hybrid, Snapshot]:
    dataset = checkerboard()
    hybrid = Hybrid.fit(dataset, SETTINGS, now_ms=NOW_MS, seed=1)
    return hybrid, _snapshot(dataset, hybrid)


def _snapshot(dataset: Dataset, hybrid: Hybrid) -> Snapshot:
    content = embed(dataset.catalog, 8, seed=1)
    return build_snapshot(dataset, hybrid, content, make_manifest(blend=hybrid.blend), NOW_MS)


def test_served_scores_are_those_evaluated() -> None:
    """For every candidate the service's score is the one that the gate measured."""
    hybrid, snapshot = _build()
    dataset = checkerboard()
    histories = Histories.of(dataset.interactions, dataset.n_users, NOW_MS)
    evaluated = hybrid.score(histories)
    for user in range(len(histories)):
        served = score_history(snapshot, histories.one(user), NOW_MS, k=16)
        assert len(served.rows) > 0
        np.testing.assert_allclose(served.scores, evaluated[user, served.rows], atol=1e-5)


def test_served_scores_of_new_items_are_those_evaluated() -> None:
    """An item without interactions hears a history alike online and offline."""
    titles = ["red mug", "blue mug", "red mug", "blue lamp", "red lamp", "blue mug"]
    rows = [(user, (user + place) % 5, 50 + 7 * place) for user in range(20) for place in range(3)]
    dataset = make_dataset(rows, 20, 6, titles=titles)
    hybrid = Hybrid.fit(dataset, SETTINGS, now_ms=NOW_MS, seed=1)
    histories, snapshot = (
        Histories.of(dataset.interactions, 20, NOW_MS),
        _snapshot(dataset, hybrid),
    )
    evaluated = hybrid.score(histories)
    in_order = histories.shares(hybrid.blend, 6) @ hybrid.graph.to_csr(6)
    assert abs(in_order[:, [5]] - evaluated[:, [5]]).max() > 0.01  # which it would not otherwise
    for user in range(20):
        served = score_history(snapshot, histories.one(user), NOW_MS, k=16)
        assert 5 in served.rows
        np.testing.assert_allclose(served.scores, evaluated[user, served.rows], atol=1e-5)


def test_users_keep_their_history_and_purchases() -> None:
    """Histories are oldest first, purchases ascending."""
    _, snapshot = _build()
    assert snapshot.users.purchased[0].tolist() == [2, 4, 6, 8, 10, 12, 14]
    assert sorted(snapshot.users.history[0].tolist()) == [2, 4, 6, 8, 10, 12, 14]
    begin, end = snapshot.users.history.offsets[:2]
    assert (np.diff(snapshot.users.history_at_ms[begin:end]) >= 0).all()


def test_cards_show_what_is_known() -> None:
    """A price is shown as the catalogue wrote it; what is unknown is left out."""
    dataset = make_dataset([(0, 0, 90)], 1, 2, titles=["Mug", None], categories=["Home", None])
    dataset.catalog.price[0] = 6.95
    hybrid = Hybrid.fit(dataset, SETTINGS, now_ms=NOW_MS, seed=1)
    items = _snapshot(dataset, hybrid).items
    assert json.loads(items.cards[0]) == {"title": "Mug", "category": "Home", "price": 6.95}
    assert json.loads(items.cards[1]) == {}
    assert items.category_rows.tolist() == [0, -1]
    assert items.categories.id(0) == "Home"
    assert items.n_interactions.tolist() == [1, 0]
