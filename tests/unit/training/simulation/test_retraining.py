"""Training again during the visits: what is asked of the commands, and what is told of it."""

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.artifact import ArtifactStore
from training.simulation import retraining
from training.simulation.counters import Counters
from training.simulation.files import WorldFiles
from training.simulation.processes import DemoError
from training.simulation.result import Retrained

Command = Callable[[tuple[str, ...]], None]


class _Store(ArtifactStore):
    """A store of which only the live version is asked."""

    live = "old"

    def __init__(self) -> None:
        """Open nothing."""

    def live_version(self) -> str | None:
        return self.live


def _retrain(
    monkeypatch: pytest.MonkeyPatch, store: _Store, counters: Counters, command: Command
) -> tuple[Retrained, list[tuple[str, ...]]]:
    called: list[tuple[str, ...]] = []

    async def run(*arguments: str, on_line: object = None) -> dict[str, Any]:
        called.append(arguments)
        command(arguments)
        return {}

    monkeypatch.setattr(retraining, "run_endcap", run)
    home, clock = Path("home"), itertools.count().__next__
    files = WorldFiles(home / "world")
    again = asyncio.run(retraining.retrain(home, files, store, counters, clock=clock))
    return again, called


def test_retraining_learns_from_the_log_and_the_live_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It trains on both files, and sees the new version answer without a failed call."""
    store, counters = _Store(), Counters()

    def command(arguments: tuple[str, ...]) -> None:
        if arguments[0] == "train":
            store.live = "new"
            counters.count_page("new", [])

    again, called = _retrain(monkeypatch, store, counters, command)
    assert called[0][:2] == ("events", "export")
    logs = [called[1][i + 1] for i, part in enumerate(called[1]) if part == "--interactions"]
    assert logs == ["home/world/interactions.parquet", "home/live_events.parquet"]
    assert (again.before, again.after, again.n_errors, again.failure) == ("old", "new", 0, None)
    assert again.swapped_after_s is not None
    assert "model new answers" in again.in_words


def test_retraining_that_is_refused_leaves_the_old_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal of the gate is told in its own words, and ends nothing."""

    def command(arguments: tuple[str, ...]) -> None:
        if arguments[0] == "train":
            raise DemoError("version new does not go live")

    again, _ = _retrain(monkeypatch, _Store(), Counters(), command)
    assert (again.before, again.after, again.swapped_after_s) == ("old", "old", None)
    assert again.in_words == "training again failed: version new does not go live"
