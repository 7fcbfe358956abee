"""Work in blocks and beside other work."""

import threading

import pytest

from models.recommenders.blocks import beside, map_blocks


@pytest.mark.parametrize("threads", ["1", "3"])
def test_blocks_come_in_order(monkeypatch: pytest.MonkeyPatch, threads: str) -> None:
    """Seven rows in blocks of three are 0-3, 3-6 and 6-7, however many threads there are."""
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    found = map_blocks(7, 3, lambda rows: (rows.start, rows.stop))
    assert found == [(0, 3), (3, 6), (6, 7)]


def test_work_beside_has_a_thread_of_its_own_only_where_there_are_two(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With one thread allowed it is done before anything else, by the caller."""
    here = threading.get_ident()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with beside(threading.get_ident) as result:
        assert result() == here
    monkeypatch.setattr("models.recommenders.blocks.n_threads", lambda: 2)
    with beside(threading.get_ident) as result:
        assert result() != here


def test_error_of_work_beside_is_raised_where_its_result_is_asked_for() -> None:
    """A failed part fails the fit."""
    with pytest.raises(ZeroDivisionError), beside(lambda: 1 // 0) as result:
        result()
