"""Works beside each other, and one after the other where there is a single thread."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from models.recommenders.tasks import side_by_side


@pytest.fixture(params=[1, 2])
def n_threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Allow that many."""
    n = int(request.param)
    monkeypatch.setattr("models.recommenders.tasks.n_threads", lambda: n)
    return n


def test_work_has_a_thread_of_its_own_only_where_there_are_two(n_threads: int) -> None:
    """With one thread allowed it is done by whoever asks for it."""
    with side_by_side() as tasks:
        result = tasks.begin("here", threading.get_ident)
        assert (result() == threading.get_ident()) == (n_threads == 1)


def test_work_is_done_once_with_what_it_needs(n_threads: int) -> None:
    """Two ask for 20, which is made once; 20 + 1 and 20 + 2."""
    made = []

    def make() -> int:
        made.append(20)
        return 20

    with side_by_side() as tasks:
        twenty = tasks.begin("make", make)
        sums = [tasks.begin("add", lambda a, b=b: a + b, twenty) for b in (1, 2)]
        assert [found() for found in sums] == [21, 22]
    assert made == [20]


def test_works_that_wait_for_each_other_run_at_the_same_time() -> None:
    """Neither passes the barrier alone."""
    barrier = threading.Barrier(2)
    with side_by_side() as tasks:
        works = [tasks.begin("meet", lambda: barrier.wait(timeout=10)) for _ in range(2)]
        assert sorted(work() for work in works) == [0, 1]


def test_error_is_raised_where_the_result_is_asked_for(n_threads: int) -> None:
    """A failed part fails the fit, also through a work that needs it."""
    with pytest.raises(ZeroDivisionError), side_by_side() as tasks:
        tasks.begin("add", lambda a: a + 1, tasks.begin("divide", lambda: 1 // 0))()


def test_stages_are_measured_by_name_without_the_time_they_wait(n_threads: int) -> None:
    """The second stage opens when the first is closed."""
    told = []

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        told.append(f"begin {name}")
        yield
        told.append(f"end {name}")

    with side_by_side(stage) as tasks:
        first = tasks.begin("first", lambda: 1)
        tasks.begin("second", lambda a: a, first)()
    assert told == ["begin first", "end first", "begin second", "end second"]
