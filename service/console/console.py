"""What the console keeps in a process: one of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from service.console.attempts import SignInAttempts
from service.console.kept import Kept
from service.console.key_names import KeyNames
from service.console.plotter import Plotter
from service.console.session import Sessions
from service.console.traffic import TrafficWindow
from service.control.changes import ChangeHub

ALERTS_MS = 20_000
REPORTS_MS = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """Who is signed in, who tried, who listens, who draws."""

    sessions: Sessions
    attempts: SignInAttempts
    changes: ChangeHub
    key_names: KeyNames
    plotter: Plotter
    traffic: TrafficWindow
    alerts: Kept[list[Any]] = field(default_factory=lambda: Kept(ALERTS_MS))
    """What wants attention, by scope and state."""
    reports: Kept[Any] = field(default_factory=lambda: Kept(REPORTS_MS))
    """Reports of rollouts, by key and revision, and what plans stand on."""
