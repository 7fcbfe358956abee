"""What a slate is truly worth, per arm, and lifts with their intervals: pure arithmetic on counts.

The planted truth is about the very slates that were served, so what was measured differs from it by
the shoppers' coin tosses only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.manifest import Interval

_Z95 = 1.959963984540054


@dataclass(slots=True)
class ArmTruth:
    """What one arm was served and what that is worth."""

    n_slates: int = 0
    expected_clicks: float = 0.0
    """Sum of the click probabilities of all positions."""
    expected_clicked_slates: float = 0.0
    """Sum over slates of the probability of at least one click."""
    clicks: int = 0
    """Clicks that shoppers truly made."""
    clicked_slates: int = 0

    def add(self, probabilities: NDArray[np.float64], clicked: NDArray[np.bool_]) -> None:
        """Count a served slate: the probability of a click per position, and the clicks made."""
        self.n_slates += 1
        self.expected_clicks += float(probabilities.sum())
        self.expected_clicked_slates += 1.0 - float(np.prod(1.0 - probabilities))
        self.clicks += int(clicked.sum())
        self.clicked_slates += bool(clicked.any())

    @property
    def click_through(self) -> float:
        """Expected share of slates with at least one click; NaN before the first slate."""
        return self.expected_clicked_slates / self.n_slates if self.n_slates else math.nan


@dataclass(slots=True)
class Truth:
    """What each arm of the rollout is worth, per epoch; runs in one home add up."""

    epochs: dict[int, dict[str, ArmTruth]] = field(default_factory=dict)

    def arm(self, epoch: int, variant: str) -> ArmTruth:
        """Find an arm, an empty one at first."""
        return self.epochs.setdefault(epoch, {}).setdefault(variant, ArmTruth())

    @property
    def newest_epoch(self) -> int:
        """The epoch of the newest setting of the rollout, 0 before the first slate."""
        return max(self.epochs, default=0)

    def newest(self, variant: str) -> ArmTruth:
        """Find what an arm was worth in the newest epoch."""
        return self.epochs.get(self.newest_epoch, {}).get(variant, ArmTruth())

    @classmethod
    def read(cls, path: Path) -> Truth:
        """Go on from what earlier runs in this home wrote."""
        return msgspec.json.decode(path.read_bytes(), type=cls) if path.exists() else cls()

    def write(self, path: Path) -> None:
        """Keep it for the next run in this home."""
        path.write_bytes(msgspec.json.encode(self))


def relative_lift(treated: float, control: float) -> float | None:
    """Return ``treated / control - 1``, nothing where control is 0 or unknown."""
    return treated / control - 1.0 if control > 0.0 and not math.isnan(treated) else None


def measured_lift(clicked: tuple[int, int], slates: tuple[int, int]) -> Interval | None:
    """Relative lift of a click-through with its 95 % interval, from (treated, control) counts.

    The log of a ratio of two shares is nearly normal, with variance ``1/x₁ − 1/n₁ + 1/x₀ − 1/n₀``.

    References
    ----------
    Katz, Baptista, Azen, Pike (1978), Biometrics 34, 469. doi:10.2307/2530610
    """
    if min(*clicked, *slates) <= 0:
        return None
    log_ratio = math.log(clicked[0] / slates[0]) - math.log(clicked[1] / slates[1])
    variance = sum(1.0 / x - 1.0 / n for x, n in zip(clicked, slates, strict=True))
    spread = _Z95 * math.sqrt(max(variance, 0.0))
    return Interval(
        value=math.expm1(log_ratio),
        low=math.expm1(log_ratio - spread),
        high=math.expm1(log_ratio + spread),
    )
