"""What every subsystem stands on: settings, pseudonyms, a clock, and the stack that closes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from models.pseudonym import Pseudonymiser
from service.processes.background import Work, keep_running
from service.settings import Settings
from service.stores.event_log import EventLog
from service.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """One for each process."""

    settings: Settings
    metrics: Metrics
    now_ms: Callable[[], int]
    pseudonymiser: Pseudonymiser
    holder: str
    """Names this process where only one of all may do something."""
    stack: AsyncExitStack
    """Closes in the opposite order whatever was opened."""

    @property
    def home(self) -> Path:
        """The folder of everything stored."""
        return self.settings.home

    @property
    def events(self) -> EventLog:
        """The event store."""
        return self.settings.event_log

    def keep_running(self, work: Work) -> None:
        """Run work in the background until the stack closes."""
        keep_running(self.stack, work)
