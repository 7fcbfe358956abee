"""The process that works candidates ahead: one per version and machine, and never in the way."""

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from models.artifact import ArtifactStore
from models.ready_candidates import ReadyCandidates, fill, make_room, ready_name
from models.snapshot import Snapshot
from service.processes.quiet_start import QuietProcess
from service.processes.readying import Readying, boot_id
from service.processes.readying_process import Order, work
from tests.snapshots import tiny_snapshot

LIMIT_S = 60


@pytest.fixture
def live(tmp_path: Path) -> Snapshot:
    """The tiny shop, published."""
    store = ArtifactStore(tmp_path)
    return store.open(store.publish(tiny_snapshot("")))


@pytest.fixture
def readying(tmp_path: Path) -> Iterator[Readying]:
    """What a worker has."""
    with Readying(tmp_path, ArtifactStore(tmp_path), min_users=1) as opened:
        yield opened


def _whole(home: Path, snapshot: Snapshot) -> Path:
    return home / "cache" / snapshot.version / ready_name(snapshot.manifest)


def _order(home: Path, snapshot: Snapshot) -> Order:
    whole = _whole(home, snapshot)
    return Order(home, snapshot.version, whole, whole.with_name(f"{whole.name}.boot.part"))


def test_worker_starts_a_process_that_works_users_ahead(
    tmp_path: Path, live: Snapshot, readying: Readying
) -> None:
    """What it writes is there at once for whoever mapped the file before, and stays."""
    ready = readying.open(live, [("nobody", None), (live.users.ids.id(0), "device")])
    assert ready is not None
    process = readying._process
    assert process is not None
    assert process.wait(LIMIT_S) == 0
    assert ready.has([0])
    assert _whole(tmp_path, live).exists()
    with Readying(tmp_path, ArtifactStore(tmp_path), min_users=1) as other:
        again = other.open(live, [])
        assert again is not None
        assert again.has([0])
        assert other._process is None


def test_process_that_somebody_killed_is_told(live: Snapshot, readying: Readying) -> None:
    """Such as a system that is short of memory: pages go on without, and nobody would know."""
    with capture_logs() as logs:
        readying.open(live, [])
        process = readying._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait(LIMIT_S) == -signal.SIGKILL
    assert [(one["event"], one["exit_code"]) for one in logs] == [("candidates_interrupted", -9)]


def test_process_that_is_not_wanted_any_more_ends_without_a_word(
    live: Snapshot, readying: Readying
) -> None:
    """Its worker has asked it to."""
    with capture_logs() as logs:
        readying.open(live, [])
        readying.close()
    assert logs == []


def test_second_worker_reads_what_the_first_ones_process_writes(
    tmp_path: Path, live: Snapshot, readying: Readying
) -> None:
    """Of all workers one holds the lock."""
    whole = _whole(tmp_path, live)
    ready = readying.open(live, [])
    with Readying(tmp_path, ArtifactStore(tmp_path), min_users=1) as other:
        mapped = other.open(live, [])
        assert other._process is None
    assert ready is not None
    assert mapped is not None
    assert readying._process is not None
    readying._process.wait(LIMIT_S)
    assert ready.has([0])
    assert mapped.has([0])
    assert [one.name for one in whole.parent.glob("*.part")] == []


def test_worker_goes_on_with_what_another_one_had_begun(
    tmp_path: Path, live: Snapshot, readying: Readying, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last of several that are renewed took its process with it; nobody starts after that.

    While some process fills the file nobody else does, and who has tried once lets it be.
    """
    monkeypatch.setattr("service.processes.readying.LOOK_S", 0.01)
    whole = _whole(tmp_path, live)
    whole.parent.mkdir(parents=True, exist_ok=True)
    with whole.with_name(f"{whole.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ready = readying.open(live, [])
        readying.go_on()
        assert readying._process is None

    async def go_on() -> QuietProcess:
        watching = asyncio.create_task(readying.watch())
        while readying._process is None:
            await asyncio.sleep(0.01)
        watching.cancel()
        return readying._process

    process = asyncio.run(asyncio.wait_for(go_on(), LIMIT_S))
    assert process.wait(LIMIT_S) == 0
    assert ready is not None
    assert ready.has([0])
    assert whole.exists()
    whole.unlink()
    readying.go_on()
    assert readying._process is process


def test_small_shops_have_no_process(tmp_path: Path, live: Snapshot) -> None:
    """A page of theirs costs the same with less machinery."""
    with Readying(tmp_path, ArtifactStore(tmp_path)) as readying:
        assert readying.open(live, []) is None
        assert readying._process is None


def test_copy_that_cannot_be_written_to_is_no_failure(
    tmp_path: Path, live: Snapshot, readying: Readying
) -> None:
    """Pages are then scored as they come."""
    _whole(tmp_path, live).with_name(f"{_whole(tmp_path, live).name}.lock").mkdir()
    assert readying.open(live, []) is None


def test_process_ends_when_its_worker_has(tmp_path: Path, live: Snapshot) -> None:
    """Or when the copy it works for is removed; what it did stays for the next one."""
    order = _order(tmp_path, live)
    make_room(live, order.part)
    assert not work(order, [], lambda: False)
    assert order.part.exists()
    order.part.unlink()
    make_room(live, order.part)
    assert work(order, [], lambda: True)
    assert order.whole.exists()


def test_file_of_a_version_with_somebody_erased_is_another(tmp_path: Path, live: Snapshot) -> None:
    """Rows move up when users are taken out, so the old rows are not asked for."""
    order = _order(tmp_path, live)
    store = ArtifactStore(tmp_path)
    [erased] = list(live.users.ids)
    make_room(live, order.part)
    assert fill(live, order.part, [0])
    order.part.rename(order.whole)
    assert store.erase_users(live.version, [erased])
    assert not order.whole.exists()
    assert ready_name(store.open(live.version).manifest) != order.whole.name
    make_room(live, order.part)
    assert not work(order, [], lambda: True)


def test_what_another_run_of_the_machine_began_is_removed(tmp_path: Path, live: Snapshot) -> None:
    """It may be half on disk; it has another name, so nobody reads it either."""
    order = _order(tmp_path, live)
    make_room(live, order.part)
    stale = order.part.with_name(f"{order.whole.name}.before.part")
    stale.write_bytes(b"half")
    assert work(order, [], lambda: True)
    assert not stale.exists()
    assert ReadyCandidates(live, order.whole).has([0])
    assert boot_id() == boot_id()


def test_process_fails_with_one_line(tmp_path: Path) -> None:
    """An unknown version is logged, without a traceback."""
    (tmp_path / "models").mkdir()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "service.processes.readying_process"),
            *(str(tmp_path), "0" * 16, str(tmp_path / "a"), str(tmp_path / "b")),
            *(str(os.getpid()), ""),
        ],
        input="",
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "candidates_failed" in line
