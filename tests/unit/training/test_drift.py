"""Drift is told in numbers worked out by hand, and a quiet input says nothing."""

import math

import pytest

from models.manifest import Manifest
from tests.unit.models.small_snapshot import make_manifest
from training.drift import find_drift, stability

BEFORE = {
    "rows_kept": 1_000,
    "rows_rejected": 0,
    "users": 100,
    "items": 50,
    "interactions": 1_000,
    "view": 900,
    "purchase": 100,
}


def manifest(**counts: int) -> Manifest:
    """Make the manifest of a version with some other counts."""
    return make_manifest(version="0123456789abcdef", counts=BEFORE | counts)


def test_same_input_has_no_drift() -> None:
    """No change, no warning."""
    found = find_drift(manifest(), manifest())
    assert set(found.changes.values()) == {0.0}
    assert (found.event_stability, found.warnings) == (0.0, [])


def test_small_changes_are_told_without_a_warning() -> None:
    """A fifth less and half more are still usual."""
    found = find_drift(manifest(), manifest(users=80, items=75))
    assert (found.changes["users"], found.changes["items"]) == (-0.2, 0.5)
    assert found.warnings == []


def test_lost_rows_and_new_users_are_warned_of() -> None:
    """Half of the rows, and 1.6 times the users."""
    found = find_drift(manifest(), manifest(rows_kept=500, users=160))
    assert found.warnings == [
        "rows fell by 50%: 1000 in 0123456789abcdef, 500 now",
        "users grew by 60%: 100 in 0123456789abcdef, 160 now",
    ]


def test_stability_index_by_hand() -> None:
    """(0.7 - 0.9) ln(0.7/0.9) + (0.3 - 0.1) ln(0.3/0.1) = 0.0503 + 0.2197 = 0.27."""
    expected = -0.2 * math.log(0.7 / 0.9) + 0.2 * math.log(3)
    mixes = {"view": 0.9, "purchase": 0.1}, {"view": 0.7, "purchase": 0.3}
    assert stability(*mixes) == pytest.approx(expected) == pytest.approx(0.27, abs=0.001)
    found = find_drift(manifest(), manifest(view=700, purchase=300))
    assert "stability index 0.27" in found.warnings[0]
    assert "view 90%, purchase 10% in 0123456789abcdef, view 70%, purchase 30% now" in str(found)


def test_an_event_that_is_gone_is_a_large_shift() -> None:
    """Purchases missing altogether is finite, and well above every bound."""
    [warning] = find_drift(manifest(), manifest(view=1_000, purchase=0)).warnings
    assert "the mix of events shifted" in warning


def test_rejects_and_older_data_are_warned_of() -> None:
    """2 % rejected where there were none; data that ends before that of the live version."""
    candidate = make_manifest(counts=BEFORE | {"rows_kept": 980, "rows_rejected": 20})
    live = make_manifest(version="live", counts=BEFORE, data_until_ms=900 + 2 * 86_400_000)
    assert find_drift(live, candidate).warnings == [
        "2.0% of the rows were rejected, 0.0% for live",
        "the data ends 2.0 days before that of live",
    ]


def test_a_live_version_without_counts_is_no_error() -> None:
    """What is not known is not compared."""
    found = find_drift(make_manifest(counts={}), make_manifest(counts={}))
    assert (found.changes, found.warnings) == ({}, [])
