"""Ctrl-C in the middle of a training."""

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
from tests.unit.training.small_shop import write_shop
from training.build import Surroundings
from training.cli import train

WITHIN_S = 10.0


def test_interrupted_training_writes_nothing_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is under way ends; what has not begun, such as the tables of the version, never does."""
    log, catalog = write_shop(tmp_path)
    is_interrupted, written = Event(), []
    shut_down, make_tables = ThreadPoolExecutor.shutdown, Surroundings.of

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def wait_for_works(pool: ThreadPoolExecutor, **options: bool) -> None:
        # The merging of a fit has a pool too, in a thread of the run's own.
        if "cancel_futures" in options and current_thread() is main_thread():
            is_interrupted.set()
        shut_down(pool, **options)

    def make_slowly(*parts: Any) -> Surroundings:
        assert is_interrupted.wait(WITHIN_S)
        return make_tables(*parts)

    monkeypatch.setattr("training.train.run_contest", interrupt)
    monkeypatch.setattr("training.train.Surroundings.of", make_slowly)
    monkeypatch.setattr("models.recommenders.tasks.n_threads", lambda: 2)
    monkeypatch.setattr("models.recommenders.tasks.ThreadPoolExecutor.shutdown", wait_for_works)
    monkeypatch.setattr(artifact, "write_tables", lambda *_: written.append(1))
    home = tmp_path / "home"
    result = CliRunner().invoke(
        train,
        ["--interactions", log, "--catalog", catalog, "--home", str(home), "--tune-seconds", "0"],
        obj=Handed(endcap.read_past, endcap.load_key),
    )
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (1, "Aborted.")
    assert ArtifactStore(home).versions() == []
    assert [path.name for path in (home / "models").iterdir()] == [".training.lock"]
    assert written == []
