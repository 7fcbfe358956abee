"""Ctrl-C in the middle of a training."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, current_thread, main_thread
from typing import Any

import pytest
from click.testing import CliRunner

import endcap
from models import artifact
from models.artifact import ArtifactStore
from models.handed import Handed
from models.version_tables import write_tables
from tests.unit.training.small_shop import write_shop
from training.build import Surroundings
from training.cli import train
from training.progress import Progress

WITHIN_S = 10.0


def test_interrupted_training_writes_nothing_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is under way ends; what has not begun, such as the tables of the version, never does."""
    is_interrupted, written = _interrupted(monkeypatch), []
    make_tables = Surroundings.of

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def make_slowly(*parts: Any) -> Surroundings:
        assert is_interrupted.wait(WITHIN_S)
        return make_tables(*parts)

    monkeypatch.setattr("training.train.run_contest", interrupt)
    monkeypatch.setattr("training.train.Surroundings.of", make_slowly)
    monkeypatch.setattr(artifact, "write_tables", lambda *_: written.append(1))
    home = tmp_path / "home"
    assert _train(tmp_path, home)[-1] == "Aborted."
    assert ArtifactStore(home).versions() == []
    assert [path.name for path in (home / "models").iterdir()] == [".training.lock"]
    assert written == []


def test_version_that_waits_for_its_verdict_does_not_go_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The contest is over, and the tables are written when nobody waits for them any more."""
    is_interrupted = _interrupted(monkeypatch)

    def write_slowly(*parts: Any) -> None:
        assert is_interrupted.wait(WITHIN_S)
        write_tables(*parts)

    monkeypatch.setattr(artifact, "write_tables", write_slowly)
    _interrupt_publishing(monkeypatch, lambda: True)
    home = tmp_path / "home"
    assert _train(tmp_path, home)[-1] == "Aborted."
    assert ArtifactStore(home).versions() == []
    assert ArtifactStore(home).live_version() is None
    assert not list((home / "models").glob("*/"))


def test_version_that_was_published_by_then_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is about to go live when the run is stopped, and whoever stopped it hears what is so."""
    is_interrupted, promote, is_judged = _interrupted(monkeypatch), ArtifactStore.promote, Event()

    def promote_slowly(store: ArtifactStore, version: str) -> None:
        is_judged.set()
        assert is_interrupted.wait(WITHIN_S)
        promote(store, version)

    monkeypatch.setattr(ArtifactStore, "promote", promote_slowly)
    _interrupt_publishing(monkeypatch, lambda: is_judged.wait(WITHIN_S))
    home = tmp_path / "home"
    told = _train(tmp_path, home)
    live = ArtifactStore(home).live_version()
    assert live is not None
    assert f"version {live} was published when the run was stopped, and is live" in told
    assert told[-1] == "Aborted."


def _interrupted(monkeypatch: pytest.MonkeyPatch) -> Event:
    """Return what is set once a run that was stopped waits for its works."""
    is_interrupted, shut_down = Event(), ThreadPoolExecutor.shutdown

    def wait_for_works(pool: ThreadPoolExecutor, **options: bool) -> None:
        # The merging of a fit has a pool too, in a thread of the run's own.
        if "cancel_futures" in options and current_thread() is main_thread():
            is_interrupted.set()
        shut_down(pool, **options)

    monkeypatch.setattr("models.recommenders.tasks.n_threads", lambda: 2)
    monkeypatch.setattr("models.recommenders.tasks.ThreadPoolExecutor.shutdown", wait_for_works)
    return is_interrupted


def _interrupt_publishing(monkeypatch: pytest.MonkeyPatch, is_time: Callable[[], bool]) -> None:
    """Press Ctrl-C where the run waits for nothing but its version, once it is time."""
    step = Progress.step

    def step_or_stop(progress: Progress, name: str) -> Any:
        if name == "publish":
            assert is_time()
            raise KeyboardInterrupt
        return step(progress, name)

    monkeypatch.setattr(Progress, "step", step_or_stop)


def _train(folder: Path, home: Path) -> list[str]:
    """Train until it is stopped, and return what was told."""
    log, catalog = write_shop(folder)
    result = CliRunner().invoke(
        train,
        ["--interactions", log, "--catalog", catalog, "--home", str(home), "--tune-seconds", "0"],
        obj=Handed(endcap.read_past, endcap.load_key),
    )
    assert result.exit_code == 1
    return result.stderr.splitlines()
