"""The score of items for one history: pure; online, batch and evaluation share it.

    score(u, i) = Σ_j w_j · N[j, i]  +  a · x_u · q_i  +  b · popularity_i,    x_u = Σ_j w_j · p_j

over the newest items j of the history; w_j comes from the event's kind, its age and how many
moments ago it was, and sums to 1. For a new item i the order of moments is left out of w_j in the
first sum: nobody knows when in a history it would have come. Nothing is solved: folding a history
in is a sum, so the item j that gave most is the explanation of a score.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from models.manifest import Blend
from models.snapshot import Snapshot
from models.spoken import lay_out, loudest, slots_of

MS_PER_DAY = 86_400_000.0
GATHERED_AT_ONCE = 1 << 17
"""Numbers, 0.5 MB: blocks of 1 MB come from the system, a page fault every thousand numbers."""


@dataclass(frozen=True, slots=True)
class History:
    """A user's newest distinct items, oldest first, all arrays of shape (n,)."""

    rows: NDArray[np.int32]
    kinds: NDArray[np.int8]
    at_ms: NDArray[np.int64]

    def newest(self, n: int) -> History:
        """Return the `n` newest, ``n >= 1``."""
        return History(self.rows[-n:], self.kinds[-n:], self.at_ms[-n:])


@dataclass(frozen=True, slots=True)
class ScoredItems:
    """Candidates by falling score, all arrays of shape (n,)."""

    rows: NDArray[np.int32]
    scores: NDArray[np.float32]
    because: NDArray[np.int32]
    """Row of the history item that gave the largest graph part, -1 where the graph was silent."""


def history_weights(history: History, now_ms: int, blend: Blend) -> NDArray[np.float32]:
    """Weigh each history item: ``event_weight · 2^(−age / half_life) · (1 + k)^−γ``, shape (n,).

    ``k`` counts the later moments of the history, so what came at one moment weighs alike.
    """
    decayed = decayed_weights(history.kinds, history.at_ms, now_ms, blend)
    weights: NDArray[np.float64] = decayed * _order_weights(history.at_ms, blend.recency)
    return weights.astype(np.float32)


def _order_weights(at_ms: NDArray[np.int64], recency: float) -> NDArray[np.float64]:
    """Return ``(1 + k)^−γ`` of each item, `k` being the number of later moments."""
    if np.count_nonzero(at_ms[1:] > at_ms[:-1]) == len(at_ms) - 1:  # nearly always
        return _fading(len(at_ms), recency)
    moment = _moments(at_ms)
    k = moment[at_ms.argmax()] - moment if len(moment) else moment
    weights: NDArray[np.float64] = np.power(1.0 + k, -recency)
    return weights


@lru_cache(512)
def _fading(n: int, recency: float) -> NDArray[np.float64]:
    """Return ``(1 + k)^−γ`` of moments that all differ, `k` falling to 0."""
    fading: NDArray[np.float64] = np.power(1.0 + np.arange(n)[::-1], -recency)
    fading.setflags(write=False)
    return fading


def _moments(at_ms: NDArray[np.int64]) -> NDArray[np.intp]:
    """Number the distinct times from 0, ascending; they mostly come in order."""
    before, after = at_ms[:-1], at_ms[1:]
    if np.count_nonzero(after < before):
        numbered: NDArray[np.intp] = np.unique(at_ms, return_inverse=True)[1]
        return numbered
    moment = np.zeros(len(at_ms), dtype=np.intp)
    (after > before).cumsum(out=moment[1:])
    return moment


def decayed_weights(
    kinds: NDArray[np.int8], at_ms: NDArray[np.int64], now_ms: int, blend: Blend
) -> NDArray[np.float64]:
    """Weigh interactions by kind and age alone: ``event_weight · 2^(−age / half_life)``."""
    age_days = np.maximum(now_ms - at_ms, 0) / MS_PER_DAY
    event = _table(blend.event_weights).take(kinds)
    weights: NDArray[np.float64] = event * np.exp2(-age_days / blend.half_life_days)
    return weights


@lru_cache(64)
def _table(event_weights: tuple[float, ...]) -> NDArray[np.float64]:
    return np.asarray(event_weights, dtype=np.float64)


def recent_weights(
    decayed: NDArray[np.float64], k: NDArray[np.integer], blend: Blend
) -> NDArray[np.float32]:
    """Multiply weights by ``(1 + k)^−γ``, `k` being the number of later moments."""
    weights: NDArray[np.float64] = decayed * np.power(1.0 + k, -blend.recency)
    return weights.astype(np.float32)


def score_history(
    snapshot: Snapshot, history: History, now_ms: int, *, k: int, n_popular: int = 100
) -> ScoredItems:
    """Score what the history's neighbours and the popularity prior bring up; return the best `k`.

    Items of the history itself are candidates too if a neighbour speaks for them; the caller
    filters. An empty history, or one whose weights are all zero, gives no candidates.
    """
    newest, shares = _newest_shares(history, now_ms, snapshot.manifest.blend)
    return score_shares(snapshot, newest, shares, k=k, n_popular=n_popular)


def score_shares(
    snapshot: Snapshot,
    newest: History,
    shares: NDArray[np.float32],
    *,
    k: int,
    n_popular: int = 100,
) -> ScoredItems:
    """Score for the newest items of a history, which speak with these shares.

    `shares` sum to 1 or are none; there are at most as many items as the blend lets speak.
    """
    if not len(shares):
        empty = np.empty(0, dtype=np.int32)
        return ScoredItems(empty, np.empty(0, dtype=np.float32), empty)
    speakers, items, blend = newest.rows, snapshot.items, snapshot.manifest.blend
    spoken, prior = lay_out(snapshot.graph, speakers, shares), snapshot.priors.popular
    heard = (spoken.rows,) if prior is None else (spoken.rows, prior[0][:n_popular])
    # What is an index again and again is made of the type that numpy turns every index into.
    candidates = np.concatenate(heard, dtype=np.intp)
    slots, distinct = slots_of(candidates, len(items.ids))
    slots, rows, parts = slots[: len(spoken.rows)], candidates.take(distinct), spoken.parts
    if items.is_new is not None:
        of_new = items.is_new.take(spoken.rows).nonzero()[0]
        if len(of_new):
            even = even_shares(newest, shares, blend)
            weights = even.take(spoken.ends.searchsorted(of_new, side="right"))
            parts[of_new] = spoken.weights.take(of_new) * weights
    scores = np.bincount(slots, parts, len(candidates)).take(distinct).astype(np.float32)
    scores += _factor_part(snapshot, speakers, shares, rows)
    popularity = items.popularity.take(rows)
    popularity *= np.float32(blend.popularity_weight)
    scores += popularity
    best = _best(scores, rows, k)
    because = loudest(spoken, speakers, slots, distinct.take(best), len(candidates))
    return ScoredItems(rows.take(best).astype(np.int32), scores.take(best), because)


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
        is_new, even = items.n_interactions[rows] == 0, even_shares(newest, weights, blend)
        for weight, alike, speaker in zip(weights, even, newest.rows, strict=True):
            neighbours, values = snapshot.graph[int(speaker)]
            spoken = (rows[:, None] == neighbours[None, :]) @ values
            graph += np.where(is_new, alike, weight) * spoken
        factors += _factor_part(snapshot, newest.rows, weights, rows)
        popularity += np.float32(blend.popularity_weight) * items.popularity[rows]
    return graph, factors, popularity


def _newest_shares(
    history: History, now_ms: int, blend: Blend
) -> tuple[History, NDArray[np.float32]]:
    """Return the items that speak and their weights, which sum to 1; no weights if all are zero."""
    newest = history.newest(blend.max_recent)
    weights = history_weights(newest, now_ms, blend)
    total = np.float32(weights.sum())
    return newest, weights / total if total > 0 else weights[:0]


def even_shares(newest: History, shares: NDArray[np.float32], blend: Blend) -> NDArray[np.float32]:
    """Take the order of moments out of shares, shape (n,): only kind and age are left in them."""
    even = shares / _order_weights(newest.at_ms, blend.recency)
    even /= even.sum()
    return even.astype(np.float32)


def _factor_part(
    snapshot: Snapshot,
    speakers: NDArray[np.int32],
    weights: NDArray[np.float32],
    rows: NDArray[np.integer],
) -> NDArray[np.float32]:
    """Return ``a · x_u · q_i`` of some items, shape (n,)."""
    factors = snapshot.items.factors
    user_factor = weights.dot(snapshot.items.fold_in.take(speakers, axis=0))
    user_factor *= np.float32(snapshot.manifest.blend.factor_weight)
    if 2 * len(rows) > len(factors):  # gathering most rows costs more than multiplying all
        every: NDArray[np.float32] = factors.dot(user_factor)[rows]
        return every
    # `take` needs half the time of factors[rows]
    at_once = max(GATHERED_AT_ONCE // max(factors.shape[1], 1), 1)
    if len(rows) <= at_once:
        part: NDArray[np.float32] = factors.take(rows, axis=0).dot(user_factor)
        return part
    some = (rows[begin : begin + at_once] for begin in range(0, len(rows), at_once))
    return np.concatenate([factors.take(each, axis=0).dot(user_factor) for each in some])


def _best(scores: NDArray[np.float32], rows: NDArray[np.integer], k: int) -> NDArray[np.intp]:
    """Return the places of the `k` highest scores, falling; equals by row, at the border too."""
    if k >= len(scores):
        return _falling(scores, rows)
    border = np.partition(scores, len(scores) - k)[len(scores) - k]
    places: NDArray[np.intp] = (scores >= border).nonzero()[0]
    return places.take(_falling(scores.take(places), rows.take(places))[:k])


def _falling(scores: NDArray[np.float32], rows: NDArray[np.integer]) -> NDArray[np.intp]:
    """Return the order by falling score, equals by row."""
    by_row = rows.argsort()
    falling: NDArray[np.intp] = by_row.take((-scores.take(by_row)).argsort(kind="stable"))
    return falling
