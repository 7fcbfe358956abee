"""What stands above a report: of which version, or of which files, and in how many rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from models.manifest import Manifest
from training.report.page import Heading, Measured


def about_version(manifest: Manifest, n_test_users: int) -> Heading:
    """Head the report of a trained version."""
    counts, gate = manifest.counts, manifest.gate
    window = f"{_day(manifest.data_from_ms)} to {_day(manifest.data_until_ms)}"
    facts = [
        ("users", f"{counts.get('users', 0):,}"),
        ("items", f"{counts.get('items', 0):,}"),
        ("interactions", f"{counts.get('interactions', 0):,}"),
        ("test users", f"{n_test_users:,}"),
        ("gate", gate.verdict),
    ]
    return Heading(
        title=f"Model version {manifest.version}",
        subtitle=f"Trained on {window} (UTC), measured on the newest part. Gate: {gate.reason}.",
        facts=facts,
        warnings=[] if manifest.drift is None else manifest.drift.warnings,
    )


def about_comparison(
    train_files: Sequence[str], test_files: Sequence[str], n_test_users: int, measured: Measured
) -> Heading:
    """Head the report of an evaluation on given files."""
    train = measured.split.train
    facts = [
        ("users", f"{train.n_users:,}"),
        ("candidates", f"{measured.n_candidates:,}"),
        ("training interactions", f"{len(train.interactions):,}"),
        ("test users", f"{n_test_users:,}"),
        ("test pairs", f"{len(measured.split.test_items):,}"),
    ]
    return Heading(
        title="Recommenders compared",
        subtitle=f"Fitted on {_names(train_files)}, measured on {_names(test_files)}.",
        facts=facts,
    )


def _day(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d}"


def _names(files: Sequence[str]) -> str:
    return ", ".join(Path(file).name for file in files)
