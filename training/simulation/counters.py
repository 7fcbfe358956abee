"""What the simulated shoppers saw, counted while they browse, for the display and the result."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

import numpy as np

from training.simulation.truth import Truth

_KEPT_CALLS = 50_000
_KEPT_FAULTS = 5


@dataclass(slots=True)
class Counters:
    """Counts since the first visit."""

    calls: Counter[str] = field(default_factory=Counter)
    """Answered calls by kind, ``serve`` or ``events``."""
    errors: Counter[str] = field(default_factory=Counter)
    """Failed calls by kind and status."""
    faults: list[str] = field(default_factory=list)
    """The first failures in words."""
    tiers: Counter[str] = field(default_factory=Counter)
    model_versions: Counter[str] = field(default_factory=Counter)
    """Pages by the model version that answered, in the order they were first seen."""
    verdicts: Counter[str] = field(default_factory=Counter)
    n_slates: int = 0
    n_visits: int = 0
    n_purchases: int = 0
    revenue: float = 0.0
    truth: Truth = field(default_factory=Truth)
    took_ms: dict[str, deque[float]] = field(default_factory=dict)
    """Newest times by kind of call, as the shopper waited."""

    @property
    def n_calls(self) -> int:
        """All answered calls."""
        return self.calls.total()

    @property
    def n_errors(self) -> int:
        """All failed calls."""
        return self.errors.total()

    def count_call(self, name: str, took_ms: float) -> None:
        """Count an answered call."""
        self.calls[name] += 1
        self.took_ms.setdefault(name, deque(maxlen=_KEPT_CALLS)).append(took_ms)

    def count_error(self, name: str, status: str, detail: str = "") -> None:
        """Count a failed call and keep the first few in words."""
        self.errors[f"{name} {status}"] += 1
        if len(self.faults) < _KEPT_FAULTS:
            self.faults.append(f"{name} {status} {detail}".strip())

    def count_page(self, model_version: str | None, tiers: list[str]) -> None:
        """Count a served page."""
        self.model_versions[model_version or "none"] += 1
        self.tiers.update(tiers)
        self.n_slates += len(tiers)

    def latency_ms(self, name: str, quantile: float) -> float | None:
        """Return a quantile of the newest calls of one kind, nothing before the first."""
        times = self.took_ms.get(name)
        return float(np.quantile(np.array(times), quantile)) if times else None
