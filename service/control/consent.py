"""Changes of a running rollout that want a word more: they reshuffle units, or reach far more."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from models.errors import ConflictError
from service.rollouts.definition import Rollout

MAX_JUMP = 5
"""How many times the treated share may grow in one change that nobody confirms."""


@dataclass(frozen=True, slots=True)
class Consent:
    """What the caller said yes to."""

    new_phase: bool = False
    confirm: bool = False


NO_CONSENT = Consent()


class PhaseError(ConflictError):
    """A change would deal every unit of a running rollout anew."""

    code = "new_phase_needed"


class JumpError(ConflictError):
    """A change would treat many times more units than now."""

    code = "confirmation_needed"


def in_phase(before: Rollout | None, after: Rollout, consent: Consent) -> Rollout:
    """Stamp the phase; another salt or unit opens the next one.

    Raises
    ------
    PhaseError
        If the rollout runs and nobody asked for a new phase.
    """
    if before is None:
        return msgspec.structs.replace(after, phase=1)
    changed = [
        name
        for name, old, new in (
            ("salt", before.salt or before.key, after.salt or after.key),
            ("unit", before.unit, after.unit),
        )
        if old != new
    ]
    if not changed:
        return msgspec.structs.replace(after, phase=before.phase)
    if _treats(before) and not consent.new_phase:
        raise PhaseError(
            f"{' and '.join(changed)} of rollout {before.key!r} cannot change while it treats "
            f"{before.share:.4%} of its units: every unit would be dealt anew; send "
            '"new_phase": true to open phase '
            f"{before.phase + 1}, or make another rollout"
        )
    return msgspec.structs.replace(after, phase=before.phase + 1)


def check_jump(before: Rollout | None, after: Rollout, consent: Consent) -> None:
    """Refuse to treat more than `MAX_JUMP` times the share of now, unless that is confirmed.

    A first start, from nobody to anybody, is no jump.
    """
    if before is None or consent.confirm or not is_jump(before, after):
        return
    now, then = treated_ppm(before), treated_ppm(after)
    raise JumpError(
        f"rollout {before.key!r} would treat {then / 10_000:g} % of its units, "
        f"{then / now:.3g} times the {now / 10_000:g} % of now; see who with POST "
        f'/v1/rollouts/{before.key}/preview-change, then send "confirm": true'
    )


def is_jump(before: Rollout, after: Rollout) -> bool:
    """Say whether the treated share grows more than `MAX_JUMP` times."""
    return treated_ppm(after) > MAX_JUMP * treated_ppm(before) > 0


def treated_ppm(rollout: Rollout) -> int:
    """Return the treated share of the units that the audience lets in, while it is enabled."""
    return rollout.share_ppm if rollout.enabled else 0


def _treats(rollout: Rollout) -> bool:
    return treated_ppm(rollout) > 0
