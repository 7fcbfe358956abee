"""Work in blocks."""

import pytest

from models.recommenders.blocks import map_blocks


@pytest.mark.parametrize("threads", ["1", "3"])
def test_blocks_come_in_order(monkeypatch: pytest.MonkeyPatch, threads: str) -> None:
    """Seven rows in blocks of three are 0-3, 3-6 and 6-7, however many threads there are."""
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    found = map_blocks(7, 3, lambda rows: (rows.start, rows.stop))
    assert found == [(0, 3), (3, 6), (6, 7)]
