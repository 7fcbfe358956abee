"""The score of items for one history: pure; online, batch and evaluation share it.

    score(u, i) = Σ_j w_j · N[j, i]  +  a · x_u · y_i  +  b · popularity_i

over the newest items j of the history, with w_j from the event's weight and its age, and x_u folded
in from the same w_j. Because the score is a sum, the item j that gave most is its explanation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.manifest import Blend
from models.snapshot import Snapshot

MS_PER_DAY = 86_400_000.0


@dataclass(frozen=True, slots=True)
class History:
    """A user's newest distinct items, oldest first, all arrays of shape (n,)."""

    rows: NDArray[np.int32]
    kinds: NDArray[np.int8]
    at_ms: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ScoredItems:
    """Candidates by falling score, all arrays of shape (n,)."""

    rows: NDArray[np.int32]
    scores: NDArray[np.float32]
    because: NDArray[np.int32]
    """Row of the history item that gave the largest graph part, -1 where the graph was silent."""


def history_weights(history: History, now_ms: int, blend: Blend) -> NDArray[np.float32]:
    """Weigh each history item: ``event_weight · 2^(−age / half_life)``, shape (n,)."""
    age_days = np.maximum(now_ms - history.at_ms, 0) / MS_PER_DAY
    event = np.asarray(blend.event_weights, dtype=np.float64)[history.kinds]
    return (event * np.exp2(-age_days / blend.half_life_days)).astype(np.float32)


def score_history(
    snapshot: Snapshot, history: History, now_ms: int, *, n_popular: int = 100
) -> ScoredItems:
    """Score whatever the history's neighbours and the popularity prior bring up.

    Items of the history itself are candidates too if a neighbour speaks for them; the caller
    filters. An empty history, or one whose weights are all zero, gives no candidates.
    """
    blend = snapshot.manifest.blend
    newest, weights = _newest_shares(history, now_ms, blend)
    if not len(weights):
        empty = np.empty(0, dtype=np.int32)
        return ScoredItems(empty, np.empty(0, dtype=np.float32), empty)

    lists = [snapshot.graph[int(row)] for row in newest.rows]
    lengths = [len(rows) for rows, _ in lists]
    spoken = np.concatenate([rows for rows, _ in lists])
    parts = np.concatenate([w * values for w, (_, values) in zip(weights, lists, strict=True)])
    speakers = np.repeat(newest.rows, lengths)

    prior = snapshot.priors.get("popular")
    popular = np.empty(0, dtype=np.int32) if prior is None else prior[0][:n_popular]
    rows = np.unique(np.concatenate([spoken, popular])).astype(np.int32)
    slot = np.searchsorted(rows, spoken)
    scores = np.bincount(slot, weights=parts, minlength=len(rows)).astype(np.float32)
    because = np.full(len(rows), -1, dtype=np.int32)
    rising = np.argsort(parts, kind="stable")
    because[slot[rising]] = speakers[rising]

    items = snapshot.items
    if blend.factor_weight and items.factors.shape[1]:
        user_factor = weights @ items.factors[newest.rows]
        scores += np.float32(blend.factor_weight) * (items.factors[rows] @ user_factor)
    scores += np.float32(blend.popularity_weight) * items.popularity[rows]
    order = np.lexsort((rows, -scores))
    return ScoredItems(rows[order], scores[order], because[order])


def score_parts(
    snapshot: Snapshot, history: History, now_ms: int, rows: NDArray[np.int32]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return the graph, factor and popularity summands of some items, shape (n,) each.

    They add up to what `score_history` gives the same items; all are zero where it gives none.
    """
    blend, items = snapshot.manifest.blend, snapshot.items
    graph, factors, popularity = np.zeros((3, len(rows)), dtype=np.float32)
    newest, weights = _newest_shares(history, now_ms, blend)
    if len(weights):
        for weight, speaker in zip(weights, newest.rows, strict=True):
            neighbours, values = snapshot.graph[int(speaker)]
            graph += weight * ((rows[:, None] == neighbours[None, :]) @ values)
        if items.factors.shape[1]:
            user_factor = weights @ items.factors[newest.rows]
            factors += np.float32(blend.factor_weight) * (items.factors[rows] @ user_factor)
        popularity += np.float32(blend.popularity_weight) * items.popularity[rows]
    return graph, factors, popularity


def _newest_shares(
    history: History, now_ms: int, blend: Blend
) -> tuple[History, NDArray[np.float32]]:
    """Return the items that speak and their weights, which sum to 1; no weights if all are zero."""
    newest = History(
        history.rows[-blend.max_recent :],
        history.kinds[-blend.max_recent :],
        history.at_ms[-blend.max_recent :],
    )
    weights = history_weights(newest, now_ms, blend)
    total = np.float32(weights.sum())
    return newest, weights / total if total > 0 else weights[:0]
