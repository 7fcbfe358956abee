"""A tiny shop as a snapshot, small enough to work every expected slate out by hand.

row  id       category              brand  popularity
0    mug      Home > Kitchen > Mugs Acme   0.90
1    cup      Home > Kitchen > Mugs Acme   0.60
2    pan      Home > Kitchen        Basil  0.70
3    pot      Home > Kitchen        Basil  0.30
4    rose     Garden                Flora  1.00
5    spade    Garden                Flora  0.50
6    lamp     Home > Light          Lumo   0.80
7    bulb     Home > Light          Lumo   0.40
8    gone     Garden                Flora  0.95  not available
9    newmug   Home > Kitchen > Mugs Acme   0.00  no interaction yet
10   köpek    -                     -      0.20
"""

import json
from collections.abc import Mapping, Sequence

import numpy as np

from models.events import InteractionKind
from models.manifest import Blend, Gate, Manifest
from models.ragged import Neighbours, RowLists, Texts, offsets_of
from models.snapshot import ItemTable, Priors, Snapshot, UserTable
from models.vocabulary import Vocabulary

ALICE = "a" * 32
"""Pseudonym of a shopper who viewed the mug and then bought the pan."""
DAY_MS = 86_400_000
TRAINED_MS = 1_000 * DAY_MS

_MUGS, _KITCHEN, _GARDEN, _LIGHT = (
    "Home > Kitchen > Mugs",
    "Home > Kitchen",
    "Garden",
    "Home > Light",
)
_ITEMS: list[tuple[str, str | None, str | None, float]] = [
    ("mug", _MUGS, "Acme", 0.9),
    ("cup", _MUGS, "Acme", 0.6),
    ("pan", _KITCHEN, "Basil", 0.7),
    ("pot", _KITCHEN, "Basil", 0.3),
    ("rose", _GARDEN, "Flora", 1.0),
    ("spade", _GARDEN, "Flora", 0.5),
    ("lamp", _LIGHT, "Lumo", 0.8),
    ("bulb", _LIGHT, "Lumo", 0.4),
    ("gone", _GARDEN, "Flora", 0.95),
    ("newmug", _MUGS, "Acme", 0.0),
    ("köpek", None, None, 0.2),
]
ITEM_IDS = [item_id for item_id, *_ in _ITEMS]
_ROW = {item_id: row for row, item_id in enumerate(ITEM_IDS)}
_CATEGORIES, _BRANDS = [_MUGS, _KITCHEN, _GARDEN, _LIGHT], ["Acme", "Basil", "Flora", "Lumo"]

GRAPH = {
    "mug": {"cup": 0.9, "pan": 0.5, "newmug": 0.4},
    "cup": {"mug": 0.9, "newmug": 0.5},
    "pan": {"pot": 0.8, "mug": 0.5},
    "pot": {"pan": 0.8},
    "rose": {"spade": 0.9, "gone": 0.6},
    "spade": {"rose": 0.9},
    "lamp": {"bulb": 0.8, "gone": 0.7},
    "bulb": {"lamp": 0.8},
}
SIMILAR = {"mug": {"newmug": 0.95, "cup": 0.9, "pan": 0.3}, "cup": {"mug": 0.9, "newmug": 0.8}}
BOUGHT_TOGETHER = {"mug": {"pan": 3.0}, "lamp": {"bulb": 2.0}}
PRIORS = {
    "popular": ["rose", "gone", "mug", "lamp", "pan"],
    "country:GB": ["spade", "rose"],
    "category:Home > Kitchen": ["pan", "pot", "mug"],
    "trending": ["lamp", "bulb"],
    "trending:GB": ["spade"],
    "segment:value:regular": ["bulb"],
}
SEGMENTS = ["churn:at_risk", "value:regular"]


def tiny_snapshot(version: str = "tiny", user_key: str = ALICE, **blend: float) -> Snapshot:
    """Make the tiny shop with one known shopper.

    `blend` replaces weights; by default there are no factors, popularity counts 0.1, and
    only kind and age tell the events of a history apart.
    """
    weights = {"popularity_weight": 0.1, "recency": 0.0, **blend}
    return Snapshot(
        manifest=make_manifest(version, Blend(**weights)),  # type: ignore[arg-type]  # a test names real fields
        items=_items(),
        users=UserTable(
            ids=Vocabulary.from_ids([user_key]),
            history=RowLists.of([[_ROW["mug"], _ROW["pan"]]]),
            history_kinds=np.array([InteractionKind.VIEW, InteractionKind.PURCHASE], dtype=np.int8),
            history_at_ms=np.array([TRAINED_MS - 2 * DAY_MS, TRAINED_MS - DAY_MS], dtype=np.int64),
            purchased=RowLists.of([[_ROW["pan"]]]),
            segments=RowLists.of([[SEGMENTS.index("value:regular")]]),
            segment_keys=Vocabulary.from_ids(SEGMENTS),
        ),
        graph=neighbours([GRAPH.get(item_id, {}) for item_id in ITEM_IDS]),
        similar=neighbours([SIMILAR.get(item_id, {}) for item_id in ITEM_IDS]),
        bought_together=neighbours([BOUGHT_TOGETHER.get(item_id, {}) for item_id in ITEM_IDS]),
        priors=Priors(
            keys=Vocabulary.from_ids(PRIORS),
            lists=neighbours(
                [
                    {item_id: 1 - 0.1 * rank for rank, item_id in enumerate(ranked)}
                    for ranked in PRIORS.values()
                ]
            ),
        ),
    )


def make_manifest(version: str, blend: Blend) -> Manifest:
    """Make the manifest of a first version."""
    return Manifest(
        version=version,
        parent=None,
        created_at_ms=TRAINED_MS,
        data_from_ms=0,
        data_until_ms=TRAINED_MS,
        counts={},
        blend=blend,
        hyperparameters={},
        metrics={},
        gate=Gate(verdict="first", reason="no version was live"),
        checksums={},
        seed=1,
    )


def neighbours(lists: Sequence[Mapping[str, float]]) -> Neighbours:
    """Write lists of {item id: weight}."""
    return Neighbours(
        offsets_of(map(len, lists)),
        np.array([_ROW[item_id] for one in lists for item_id in one], dtype=np.int32),
        np.array([weight for one in lists for weight in one.values()], dtype=np.float32),
    )


def _items() -> ItemTable:
    n_items = len(_ITEMS)
    categories = [-1 if c is None else _CATEGORIES.index(c) for _, c, _, _ in _ITEMS]
    content = np.zeros((n_items, len(_CATEGORIES)), dtype=np.float32)
    for row, category in enumerate(categories):
        if category >= 0:
            content[row, category] = 1.0
    available = np.array([item_id != "gone" for item_id in ITEM_IDS])
    is_new = np.array([item_id == "newmug" for item_id in ITEM_IDS])
    cards = [
        json.dumps({"title": f"The {item_id}", "category": c, "brand": b}).encode()
        for item_id, c, b, _ in _ITEMS
    ]
    return ItemTable(
        ids=Vocabulary.from_ids(ITEM_IDS),
        popularity=np.array([popularity for *_, popularity in _ITEMS], dtype=np.float32),
        n_interactions=np.where(is_new, 0, 10).astype(np.int32),
        factors=np.zeros((n_items, 0), dtype=np.float32),
        fold_in=np.zeros((n_items, 0), dtype=np.float32),
        content=content,
        available=available,
        price=np.arange(n_items, dtype=np.float32),
        created_at_ms=np.where(is_new, TRAINED_MS, 0).astype(np.int64),
        category_rows=np.array(categories, dtype=np.int32),
        brand_rows=np.array(
            [-1 if b is None else _BRANDS.index(b) for _, _, b, _ in _ITEMS], dtype=np.int32
        ),
        categories=Vocabulary.from_ids(_CATEGORIES),
        brands=Vocabulary.from_ids(_BRANDS),
        cards=Texts.of(cards),
    )
