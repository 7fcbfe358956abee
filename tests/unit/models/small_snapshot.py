"""A snapshot of three items and two users, small enough to work expected numbers out by hand."""

import numpy as np

from models.manifest import Blend, Gate, Manifest
from models.ragged import Neighbours, RowLists, Texts, offsets_of
from models.snapshot import ItemTable, Priors, Snapshot, UserTable
from models.vocabulary import Vocabulary


def make_manifest(**changes: object) -> Manifest:
    """Make a manifest of a first version; `changes` replace fields."""
    fields: dict[str, object] = {
        "version": "",
        "parent": None,
        "created_at_ms": 1_000,
        "data_from_ms": 0,
        "data_until_ms": 900,
        "counts": {"read": 5},
        "blend": Blend(half_life_days=1.0, max_recent=2, factor_weight=0.5, popularity_weight=0.1),
        "hyperparameters": {"factors": 2.0},
        "metrics": {"hybrid": {"ndcg@20": 0.5}},
        "gate": Gate(verdict="first", reason="no version was live"),
        "checksums": {},
        "seed": 1,
    }
    return Manifest(**{**fields, **changes})  # type: ignore[arg-type]  # a test names real fields


def neighbours(lists: list[dict[int, float]]) -> Neighbours:
    """Write lists of {row: weight}."""
    return Neighbours(
        offsets_of(map(len, lists)),
        np.array([row for one in lists for row in one], dtype=np.int32),
        np.array([weight for one in lists for weight in one.values()], dtype=np.float32),
    )


def make_snapshot(**changes: object) -> Snapshot:
    """Make the small snapshot; `changes` go to its manifest."""
    return Snapshot(
        manifest=make_manifest(**changes),
        items=ItemTable(
            ids=Vocabulary.from_ids(["mug", "köpek", "lamp"]),
            popularity=np.array([1.0, 0.5, 0.0], dtype=np.float32),
            n_interactions=np.array([4, 2, 0], dtype=np.int32),
            factors=np.array([[1, 0], [0, 1], [1, 1]], dtype=np.float32),
            fold_in=np.array([[2, 0], [0, 2], [0, 0]], dtype=np.float32),
            content=np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0]], dtype=np.float32),
            available=np.array([True, True, False]),
            price=np.array([1.5, np.nan, 3.0], dtype=np.float32),
            created_at_ms=np.array([0, 5, 6], dtype=np.int64),
            category_rows=np.array([0, 0, -1], dtype=np.int32),
            brand_rows=np.array([-1, -1, -1], dtype=np.int32),
            categories=Vocabulary.from_ids(["Home > Kitchen", "Empty"]),
            brands=Vocabulary.from_ids([]),
            cards=Texts.of([b'{"title":"Mug"}', '{"title":"Köpek"}'.encode(), b"{}"]),
        ),
        users=UserTable(
            ids=Vocabulary.from_ids(["u1", "u2"]),
            history=RowLists.of([[0, 1], []]),
            history_kinds=np.array([0, 3], dtype=np.int8),
            history_at_ms=np.array([800, 900], dtype=np.int64),
            purchased=RowLists.of([[1], []]),
            segments=RowLists.of([[0, 1], [1]]),
            segment_keys=Vocabulary.from_ids(["churn:at_risk", "value:regular"]),
        ),
        graph=neighbours([{1: 0.8, 2: 0.2}, {0: 0.4}, {}]),
        similar=neighbours([{2: 0.9}, {}, {0: 0.9}]),
        bought_together=neighbours([{}, {}, {}]),
        priors=Priors(
            keys=Vocabulary.from_ids(["popular", "country:GB"]),
            lists=neighbours([{0: 1.0, 1: 0.5}, {1: 1.0}]),
        ),
    )
