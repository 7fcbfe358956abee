"""What a demo run ends with: one object with what was served, logged, measured and planted."""

from __future__ import annotations

from typing import Any

import msgspec

from models.manifest import Interval

Report = dict[str, Any]
"""What `endcap report --json` prints."""


class WorldSize(msgspec.Struct, frozen=True, kw_only=True):
    """How large the simulated shop is."""

    n_items: int
    n_shoppers: int
    n_rows: int
    """Rows of its log, broken ones included."""
    seed: int


class ServedCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What the shoppers asked for and got."""

    n_visits: int
    n_pages: int
    n_slates: int
    calls_per_s: float
    n_purchases: int
    revenue: float


class Errors(msgspec.Struct, frozen=True, kw_only=True):
    """Calls that failed."""

    n: int
    by_status: dict[str, int]
    first: list[str]


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """How long shoppers waited, in ms, loopback and the simulator's own queue included."""

    p50: float
    p99: float


class Exposures(msgspec.Struct, frozen=True, kw_only=True):
    """Slates handed to the log, and slates on disk."""

    assigned: int
    stored: int
    dropped: int


class Events(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the shoppers' events."""

    accepted: int
    duplicate: int
    rejected: int


class Lift(msgspec.Struct, frozen=True, kw_only=True):
    """What the rollout brought, as measured and as it truly was."""

    measured: Interval | None
    """Relative lift of click-through in the newest epoch, treated over control, by the report."""
    planted: float | None
    """The same from the true click probabilities of the very slates that were served."""
    is_covered: bool | None
    """Whether the interval holds the planted lift."""
    click_through_planted: dict[str, float]
    """Expected share of slates with a click, by variant."""


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """Which model answered at the end."""

    version: str
    metrics: dict[str, dict[str, float]]


class Retrained(msgspec.Struct, frozen=True, kw_only=True):
    """What came of training again on the grown log while visits went on."""

    before: str
    after: str
    took_s: float
    swapped_after_s: float | None
    """From the moment it went live to the first page it answered."""
    n_errors: int
    """Calls that failed meanwhile."""
    failure: str | None = None
    """Why there is no new version."""

    @property
    def in_words(self) -> str:
        """Say it in one sentence."""
        if self.failure is not None:
            return f"training again failed: {self.failure}"
        if self.after == self.before:
            return "training again gave no better model, so the old one stays"
        if self.swapped_after_s is None:
            return f"model {self.after} is live, but no page came from it yet"
        return (
            f"model {self.after} answers, {self.swapped_after_s:.1f} s after it went live, "
            f"with {self.n_errors} failed calls"
        )


class DemoResult(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a run ends with."""

    seconds: float
    world: WorldSize
    served: ServedCounts
    errors: Errors
    tiers: dict[str, int]
    exposures: Exposures
    events: Events
    report: Report
    """What `endcap report` says of the rollout."""
    lift: Lift
    model: Model
    latency_ms: dict[str, Waits]
    retrain: Retrained | None
    server_exit_status: int
    addresses: dict[str, str]
    """Where the shop, the console and the API were while it ran."""
