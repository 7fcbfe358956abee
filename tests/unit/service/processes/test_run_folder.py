"""The folder of a run: whose it is, and what of others is cleared."""

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from models.errors import ConfigError
from service.processes.run_folder import run_folder

NOBODY = "4194305"
"""No process has it: Linux gives numbers up to 2 ** 22."""


def folders(home: Path) -> set[str]:
    """Name the folders of runs."""
    return {one.name for one in (home / "run").iterdir() if one.is_dir()}


def test_run_has_a_folder_of_its_own_until_it_ends(tmp_path: Path) -> None:
    """It is named after the process."""
    with run_folder(tmp_path) as folder:
        assert folder == tmp_path / "run" / str(os.getpid())
        (folder / "log.sock").touch()
    assert folders(tmp_path) == set()


def test_what_dead_runs_have_left_is_cleared(tmp_path: Path) -> None:
    """Those of this version, and of an older one, which held no lock; nobody else's files."""
    left = tmp_path / "run"
    for name in (NOBODY, f"{NOBODY}.2", str(os.getpid()), "notes"):
        (left / name).mkdir(parents=True)
    (left / f"{NOBODY}.2" / "held.lock").touch()
    with run_folder(tmp_path) as folder:
        assert folders(tmp_path) == {folder.name, "notes"}
        assert folder.name == str(os.getpid())


def test_run_of_another_container_is_left_alone(tmp_path: Path) -> None:
    """Its process may have our number, or one that nobody has here: it holds its lock."""
    with run_folder(tmp_path) as first:
        (first / "log.sock").touch()
        with run_folder(tmp_path) as second:
            assert second.name == f"{os.getpid()}.2"
            assert (first / "log.sock").exists()
        assert folders(tmp_path) == {first.name}
        unseen = first.rename(first.with_name(NOBODY))
        with run_folder(tmp_path):
            assert (unseen / "log.sock").exists()


def test_run_of_an_older_version_that_lives_is_left_alone(tmp_path: Path) -> None:
    """It holds no lock; its process is there."""
    older = tmp_path / "run" / str(os.getppid())
    older.mkdir(parents=True)
    with run_folder(tmp_path):
        assert older.exists()


def test_home_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    """It names the home."""
    (tmp_path / "run").touch()
    with ExitStack() as stack, pytest.raises(ConfigError, match=f"--home {tmp_path}"):
        stack.enter_context(run_folder(tmp_path))
