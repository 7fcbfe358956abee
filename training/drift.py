"""Drift of the input: how the data of a candidate differs from that of the live version.

It warns and never decides: a shop may double in a week, or a file may lack half of its rows; only
people know which of the two it was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from models.events import INTERACTION_KINDS
from models.manifest import Drift, Manifest

COUNTED = ("rows_kept", "users", "items", "interactions")
SHRUNK, GROWN = -0.2, 0.5
"""Relative changes of a count beyond which it is told."""
MAX_PSI = 0.1
"""Population stability below this is no shift; above 0.25 it is usually called a large one."""
MAX_REJECTED_GAIN = 0.01
"""Growth of the share of rejected rows beyond which it is told."""
MIN_SHARE = 1e-4
"""What an event that does not occur counts as, or its logarithm would be infinite."""

_NAMES = {"rows_kept": "rows"}


def find_drift(live: Manifest, candidate: Manifest) -> Drift:
    """Compare the counts of two manifests."""
    before, after = live.counts, candidate.counts
    changes = {
        name: after.get(name, 0) / before[name] - 1.0 for name in COUNTED if before.get(name)
    }
    psi = stability(_mix(before), _mix(after))
    warnings = [
        f"{_NAMES.get(name, name)} {'fell' if change < 0 else 'grew'} by {abs(change):.0%}: "
        f"{before[name]} in {live.version}, {after.get(name, 0)} now"
        for name, change in changes.items()
        if not SHRUNK <= change <= GROWN
    ]
    if psi > MAX_PSI:
        warnings.append(
            f"the mix of events shifted (stability index {psi:.2f}, told above {MAX_PSI}): "
            f"{_show(_mix(before))} in {live.version}, {_show(_mix(after))} now"
        )
    was, is_now = _rejected(before), _rejected(after)
    if is_now - was > MAX_REJECTED_GAIN:
        warnings.append(f"{is_now:.1%} of the rows were rejected, {was:.1%} for {live.version}")
    if candidate.data_until_ms < live.data_until_ms:
        days = (live.data_until_ms - candidate.data_until_ms) / 86_400_000
        warnings.append(f"the data ends {days:.1f} days before that of {live.version}")
    return Drift(
        against=live.version,
        changes={name: round(change, 4) for name, change in changes.items()},
        event_stability=round(psi, 4),
        warnings=warnings,
    )


def stability(expected: Mapping[str, float], actual: Mapping[str, float]) -> float:
    """Return the population stability index of two mixes of shares, 0 if they are the same.

    ``Σ (a - e) ln(a / e)``, the symmetrised Kullback-Leibler divergence.
    """
    total = 0.0
    for name in expected.keys() | actual.keys():
        e, a = max(expected.get(name, 0.0), MIN_SHARE), max(actual.get(name, 0.0), MIN_SHARE)
        total += (a - e) * math.log(a / e)
    return total


def _mix(counts: Mapping[str, int]) -> dict[str, float]:
    found = {event: counts[event] for event in INTERACTION_KINDS if counts.get(event)}
    total = sum(found.values())
    return {event: n / total for event, n in found.items()}


def _rejected(counts: Mapping[str, int]) -> float:
    meant = counts.get("rows_kept", 0) + counts.get("rows_rejected", 0)
    return counts.get("rows_rejected", 0) / meant if meant else 0.0


def _show(mix: Mapping[str, float]) -> str:
    return ", ".join(f"{event} {share:.0%}" for event, share in mix.items()) or "nothing"
