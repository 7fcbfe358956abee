"""What is known of a version before it is learnt: input, settings, and the drift of the input."""

from __future__ import annotations

import msgspec
import numpy as np

from models.dataset import Dataset
from models.events import InteractionKind
from models.manifest import Gate, Manifest, Tuning
from training.drift import find_drift
from training.load import Loaded
from training.order import TrainOrder
from training.verdicts import RowCounts

UNJUDGED = Gate(verdict="refused", reason="not measured", against_popularity=None)


def draft_manifest(
    order: TrainOrder, loaded: Loaded, tuning: Tuning | None, live: Manifest | None
) -> Manifest:
    """Describe a candidate; its blend, metrics, gate and time are filled in when they are known."""
    at_ms = loaded.dataset.interactions.at_ms
    manifest = Manifest(
        version="",
        parent=None,
        created_at_ms=0,
        data_from_ms=int(at_ms.min()),
        data_until_ms=int(at_ms.max()),
        counts=_counts(loaded.dataset, loaded.rows["interactions"]),
        blend=order.settings.blend,
        hyperparameters=order.settings.numbers(),
        metrics={},
        gate=UNJUDGED,
        checksums={},
        seed=order.seed,
        tuning=tuning,
    )
    return beside(manifest, live)


def beside(manifest: Manifest, live: Manifest | None) -> Manifest:
    """Set a candidate beside the live version: its parent, and from whose input it drifts."""
    if live is None:
        return msgspec.structs.replace(manifest, parent=None, drift=None)
    drift = find_drift(live, manifest)
    return msgspec.structs.replace(manifest, parent=live.version, drift=drift)


def _counts(dataset: Dataset, rows: RowCounts) -> dict[str, int]:
    kinds = np.bincount(dataset.interactions.kinds, minlength=len(InteractionKind))
    return {
        "rows_read": rows.read,
        "rows_kept": rows.kept,
        "rows_dropped": sum(rows.dropped.values()),
        "rows_rejected": rows.n_rejected,
        "users": dataset.n_users,
        "items": dataset.n_items,
        "interactions": len(dataset.interactions),
        **{kind.event: int(kinds[kind]) for kind in InteractionKind if kinds[kind]},
    }
