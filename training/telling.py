"""What a training run says of its input, on standard error."""

from __future__ import annotations

from models.artifact import ArtifactStore
from models.manifest import Manifest
from models.past import FIX_ENCODING, next_steps
from training.load import Loaded
from training.order import REJECTS_FILE, TrainOrder
from training.progress import Progress


def say_drift(manifest: Manifest, progress: Progress) -> None:
    """Say what is unusual about the input of a candidate, beside that of the live version."""
    for warning in () if manifest.drift is None else manifest.drift.warnings:
        progress.say(f"drift: {warning}")


def say_rows(loaded: Loaded, order: TrainOrder, progress: Progress) -> None:
    """Say where the rows of every file went, and what to do about those that are not used."""
    for kind, rows in loaded.rows.items():
        dropped = ", ".join(f"{rule} {n}" for rule, n in rows.dropped.items()) or "none"
        rejected = ", ".join(f"{reason} {n}" for reason, n in rows.rejected.items()) or "none"
        progress.say(f"{kind}: {rows.read} rows read, {rows.kept} kept")
        progress.say(f"  dropped by rule: {dropped}")
        progress.say(f"  rejected ({order.home / REJECTS_FILE}): {rejected}")
        for step in next_steps(rows.rejected):
            progress.say(f"    {step}")
        if rows.not_utf8:
            progress.say(f"  kept, though a text has lost letters: {rows.not_utf8}; {FIX_ENCODING}")
        if rows.duplicates:
            progress.say(
                f"  kept, though they repeat another row in every column: {rows.duplicates} "
                f"({rows.duplicates / rows.kept:.1%}); if the files overlap, set drop_duplicates = "
                "true under [interactions] in the file of --mapping"
            )
    if loaded.unlisted is not None:
        progress.say(loaded.unlisted.tell(is_offered=not order.mapping.catalog.only_listed))
    dataset = loaded.dataset
    progress.say(
        f"{dataset.n_users} users, {dataset.n_items} items, {len(dataset.interactions)} "
        f"interactions; refunds took back {loaded.n_taken_back} purchases"
    )


def say_published(store: ArtifactStore, version: str, progress: Progress) -> None:
    """Say that a version is out though its run was stopped: it was too late for that."""
    place = "live" if store.live_version() == version else "not live"
    if place == "live" and store.previous_version() is not None:
        place += "; 'endcap models rollback' goes back to the one before"
    progress.say(f"version {version} was published when the run was stopped, and is {place}")
