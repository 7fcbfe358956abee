"""What workers count goes to files by writing, so that a full disk is an error and no signal."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict
from structlog.testing import capture_logs

from service.telemetry.metric_files import MetricFile, write_metric_files

KEYS = [f'["endcap_events_total", "{"é" * n}", {{}}, ""]' for n in range(12)]
"""Of every length modulo eight bytes, of which a key is filled up to."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name a file of counters."""
    return tmp_path / "counter_7.db"


@pytest.fixture
def file(path: Path) -> Iterator[MetricFile]:
    """Open it."""
    opened = MetricFile(str(path))
    yield opened
    opened.close()


def read(path: Path) -> dict[str, float]:
    """Read it as the library does for /metrics."""
    found = MmapedDict.read_all_values_from_file(str(path))
    return {key: value for key, value, _, _ in found}


def test_file_is_read_by_the_library_and_again_by_its_writer(file: MetricFile, path: Path) -> None:
    """Keys of any length, added before and after the file is there, stand in it with their values.

    Whoever gets the process id of a worker that died counts on where it was.
    """
    for n, key in enumerate(KEYS[:6]):
        file.write_value(key, float(n), 0.0)
    file.write()
    assert read(path) == {key: float(n) for n, key in enumerate(KEYS[:6])}
    for n, key in enumerate(KEYS):
        file.write_value(key, n + 0.5, 0.0)
    assert read(path) == {key: n + 0.5 for n, key in enumerate(KEYS)}
    again = MetricFile(str(path))
    assert [again.read_value(key) for key in KEYS] == [(n + 0.5, 0.0) for n in range(12)]
    again.close()


def test_full_disk_is_told_once_and_all_is_written_later(
    file: MetricFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No room for more: values in the file stay readable, one warning, and all is there later."""
    file.write_value(KEYS[0], 1.0, 0.0)
    write_metric_files()

    def full(descriptor: int, data: bytes, begin: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with capture_logs() as lines:
        with monkeypatch.context() as patched:
            patched.setattr("service.telemetry.metric_files.os.pwrite", full)
            file.write_value(KEYS[0], 2.0, 0.0)
            file.write_value(KEYS[1], 3.0, 0.0)
            write_metric_files()
            write_metric_files()
        assert read(path) == {KEYS[0]: 1.0}
        write_metric_files()
        write_metric_files()
    assert read(path) == {KEYS[0]: 2.0, KEYS[1]: 3.0}
    assert [line["event"] for line in lines] == ["metrics_not_shared", "metrics_shared_again"]
    assert "make room" in lines[0]["detail"]


def test_file_that_cannot_be_made_leaves_nothing_half_made(path: Path) -> None:
    """A worker that starts without room counts, and no other one finds an empty file of it."""
    folder = path.parent / "missing"
    file = MetricFile(str(folder / path.name))
    file.write_value(KEYS[0], 1.0, 0.0)
    write_metric_files()
    assert not folder.exists()
    folder.mkdir()
    write_metric_files()
    assert read(folder / path.name) == {KEYS[0]: 1.0}
    file.close()
