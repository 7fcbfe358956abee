"""What a history brings up for its shopper: pure, for pages and for what is worked out ahead."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.scoring import History, ScoredItems, history_weights, score_shares
from models.snapshot import Snapshot

HEAD = 64
"""Candidates that are worked out first; if no item of the history spoke for any of them, all that
follow count as what everybody gets."""
N_READY = 32
"""Candidates that are worked out ahead; nearly every page is filled from them."""

_NOTHING = np.empty(0, dtype=np.int32)
NO_CANDIDATES = ScoredItems(_NOTHING, np.empty(0, dtype=np.float32), _NOTHING)


class Taste(NamedTuple):
    """What is known of a shopper's wishes from one history."""

    shares: NDArray[np.float32]
    """Weight of each item of the history, summing to 1; empty where none has any."""
    best: ScoredItems
    """The first `N_READY` candidates that were not bought; fewer only if there are no more."""


def history_of(snapshot: Snapshot, user_row: int) -> History:
    """Return the history of a user of the snapshot, without copying it."""
    users = snapshot.users
    begin, end = int(users.history.offsets[user_row]), int(users.history.offsets[user_row + 1])
    return History(
        users.history.rows[begin:end],
        users.history_kinds[begin:end],
        users.history_at_ms[begin:end],
    )


def history_shares(snapshot: Snapshot, history: History) -> NDArray[np.float32]:
    """Weigh each item of a history so that all sum to 1; empty where none has any weight.

    They do not depend on the time: all weights fade by one factor, which the sum divides out.
    """
    if not len(history.at_ms):
        return np.empty(0, dtype=np.float32)
    newest_ms = int(history.at_ms.max())
    weights = history_weights(history, newest_ms, snapshot.manifest.blend)
    total = float(weights.sum())
    return weights / np.float32(total) if total > 0 else np.empty(0, dtype=np.float32)


def best_candidates(
    snapshot: Snapshot, history: History, shares: NDArray[np.float32], k: int
) -> ScoredItems:
    """Return the best `k` for a history with these shares; none where only popularity speaks."""
    max_recent = snapshot.manifest.blend.max_recent
    if len(shares) > max_recent:
        history, shares = history.newest(max_recent), shares[-max_recent:]
        shares = shares / shares.sum()
    scored = score_shares(snapshot, history, shares, k=k)
    return scored if _is_personal(snapshot, history.rows, scored) else NO_CANDIDATES


def taste_of(snapshot: Snapshot, user_row: int) -> Taste:
    """Work out what a user without newer events likes."""
    history, bought = history_of(snapshot, user_row), snapshot.users.purchased[user_row]
    shares = history_shares(snapshot, history)
    scored = best_candidates(snapshot, history, shares, max(HEAD, N_READY + len(bought)))
    kept = np.flatnonzero(~np.isin(scored.rows, bought))[:N_READY]
    return Taste(shares, ScoredItems(scored.rows[kept], scored.scores[kept], scored.because[kept]))


def _is_personal(snapshot: Snapshot, rows: NDArray[np.int32], scored: ScoredItems) -> bool:
    """Say whether the graph or the factors spoke, so the list is more than what everybody gets."""
    if bool((scored.because[:HEAD] >= 0).any()):
        return True
    fold_in = snapshot.items.fold_in
    return bool(snapshot.manifest.blend.factor_weight) and bool(fold_in[rows].any())
