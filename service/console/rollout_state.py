"""What a rollout does now, in a word and in a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from models.plural import plural
from service.console.formatting import percent, span
from service.rollouts.definition import Rollout
from service.rollouts.ramp import RampStep
from service.rollouts.schedule import schedule_ms

HOUR_MS = 3_600_000

Tone = Literal["", "good", "warn", "bad", "info"]


@dataclass(frozen=True, slots=True)
class State:
    """One of the words beside a rollout."""

    word: str
    tone: Tone
    why: str = ""


@dataclass(frozen=True, slots=True)
class RampState:
    """Where a ramp stands."""

    step: RampStep | None
    following: RampStep | None
    sentence: str


def states_of(rollout: Rollout, now_ms: int, *, is_stale: bool = False) -> list[State]:
    """Say what a rollout does now; the first word is the one that matters most."""
    found = [_main_state(rollout, now_ms)]
    is_on = rollout.enabled and not rollout.killed
    if is_on and rollout.ramp is not None and rollout.ramp.next_after(rollout.share) is not None:
        found.append(State("ramping", "info", "climbs by itself"))
    if is_stale:
        found.append(State("decided", "warn", "all or nobody, unchanged for 30 days"))
    if rollout.approval:
        found.append(State("four eyes", "", "a change waits for a second key"))
    return found


def _main_state(rollout: Rollout, now_ms: int) -> State:  # noqa: PLR0911  # one return for each state
    starts_ms, ends_ms = schedule_ms(rollout.starts_at, rollout.ends_at, rollout.time_zone)
    if rollout.killed:
        return State("killed", "bad", "everyone is in control until it is resumed")
    if not rollout.enabled:
        return State("off", "", "everyone is in control")
    if now_ms < starts_ms:
        return State(f"starts in {span(starts_ms - now_ms)}", "info", "scheduled")
    if now_ms >= ends_ms:
        return State("ended", "", f"{span(now_ms - ends_ms)} ago")
    if rollout.share == 0:
        return State("treats nobody", "", "its share is 0")
    if rollout.share == 1:
        return State("everyone", "good", "every unit of its audience is treated")
    return State("live", "good", f"treats {percent(rollout.share, 4)} of its units")


def is_treating(rollout: Rollout, now_ms: int) -> bool:
    """Say whether anybody may be treated now."""
    starts_ms, ends_ms = schedule_ms(rollout.starts_at, rollout.ends_at, rollout.time_zone)
    is_on = rollout.enabled and not rollout.killed and rollout.share > 0
    return is_on and starts_ms <= now_ms < ends_ms


def ramp_state(
    rollout: Rollout, *, opened_at_ms: int | None, n_units: int, now_ms: int
) -> RampState | None:
    """Say where the ramp of a rollout stands and what it waits for.

    `n_units` are those with an exposure since the present share began, at `opened_at_ms`.
    """
    ramp = rollout.ramp
    if ramp is None:
        return None
    step, following = ramp.step_at(rollout.share), ramp.next_after(rollout.share)
    if rollout.killed:
        return RampState(step, following, "It stands still, because the rollout is killed.")
    if not rollout.enabled:
        return RampState(step, following, "It stands still, because the rollout is off.")
    if following is None:
        return RampState(step, following, "It has reached its last step.")
    waits: list[str] = []
    if step is not None and opened_at_ms is not None:
        left_ms = step.min_hours * HOUR_MS - (now_ms - opened_at_ms)
        if left_ms > 0:
            waits.append(f"{span(left_ms)} more")
        if n_units < step.min_units:
            waits.append(plural(step.min_units - n_units, "more unit"))
    goes = f"goes on to {percent(following.share, 4)}"
    if waits:
        return RampState(
            step, following, f"It {goes} after {' and '.join(waits)}, while guardrails hold."
        )
    return RampState(step, following, f"It {goes} within minutes, while guardrails hold.")
