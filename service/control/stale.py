"""Rollouts that have decided: everyone, or nobody, is treated, and nothing changed for a month."""

from __future__ import annotations

from collections.abc import Iterable

from service.rollouts.definition import Rollout
from service.stores.control import ControlStore

STALE_MS = 30 * 86_400_000


def stale_rollouts(store: ControlStore, rollouts: Iterable[Rollout], now_ms: int) -> list[Rollout]:
    """Pick those that treat all or none of their units since `STALE_MS` or longer."""
    with store.transaction() as transaction:
        return [
            rollout
            for rollout in rollouts
            if _is_decided(rollout)
            and now_ms - transaction.list_epochs(rollout.key)[-1].opened_at_ms >= STALE_MS
        ]


def _is_decided(rollout: Rollout) -> bool:
    return rollout.killed or not rollout.enabled or rollout.share in (0, 1)
