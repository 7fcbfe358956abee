"""Works beside each other, and one after the other where there is a single thread."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from models.recommenders.blocks import map_blocks
from models.recommenders.tasks import Tasks, side_by_side

WITHIN_S = 10.0


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
        works = [tasks.begin("meet", lambda: barrier.wait(timeout=WITHIN_S)) for _ in range(2)]
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


def test_work_that_waits_never_begins_after_an_interruption(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C while the first is under way: it ends, and what needs it is not done for nobody."""
    monkeypatch.setattr("models.recommenders.tasks.n_threads", lambda: 2)
    begun, may_end, done = threading.Event(), threading.Event(), []

    def first() -> None:
        begun.set()
        assert may_end.wait(WITHIN_S)
        done.append("first")

    def begin(tasks: Tasks) -> None:
        tasks.begin("second", lambda _: done.append("second"), tasks.begin("first", first))

    _let_end_once_interrupted(monkeypatch, may_end)
    with pytest.raises(KeyboardInterrupt):
        _interrupt(begin, begun)
    assert done == ["first"]


def _interrupt(begin: Callable[[Tasks], object], begun: threading.Event) -> None:
    """Press Ctrl-C when a work is under way."""
    with side_by_side() as tasks:
        begin(tasks)
        assert begun.wait(WITHIN_S)
        raise KeyboardInterrupt


def _let_end_once_interrupted(monkeypatch: pytest.MonkeyPatch, may_end: threading.Event) -> None:
    """Let the work that is under way end as its pool begins to wait for it."""
    shutdown = ThreadPoolExecutor.shutdown

    def shut_down(pool: ThreadPoolExecutor, **options: bool) -> None:
        may_end.set()
        shutdown(pool, **options)

    monkeypatch.setattr("models.recommenders.tasks.ThreadPoolExecutor.shutdown", shut_down)


@pytest.mark.parametrize("is_nested", [False, True])
def test_work_under_way_ends_with_its_block_after_an_interruption(
    monkeypatch: pytest.MonkeyPatch, is_nested: bool
) -> None:
    """Of a thousand blocks those that have begun are done, also by works inside of works."""
    monkeypatch.setattr("models.recommenders.tasks.n_threads", lambda: 2)
    monkeypatch.setattr("models.recommenders.blocks.n_threads", lambda: 1)
    begun, may_end, blocks, ends = threading.Event(), threading.Event(), [], []

    def block(rows: slice) -> None:
        begun.set()
        assert may_end.wait(WITHIN_S)
        blocks.append(rows.start)

    def all_blocks() -> None:
        try:
            map_blocks(1_000, 1, block)
        except CancelledError as error:
            ends.append(error)
            raise

    def inside() -> None:
        with side_by_side() as own:
            own.begin("inside", all_blocks)()

    _let_end_once_interrupted(monkeypatch, may_end)
    with pytest.raises(KeyboardInterrupt):
        _interrupt(lambda tasks: tasks.begin("blocks", inside if is_nested else all_blocks), begun)
    assert blocks == [0]
    assert len(ends) == 1


def test_works_go_on_after_an_error_that_nobody_asked_for(n_threads: int) -> None:
    """A run inside of another that fails does not end the other."""

    def fails() -> int:
        with side_by_side() as own:
            return own.begin("divide", lambda: 1 // 0)()

    def caught() -> int:
        with pytest.raises(ZeroDivisionError):
            fails()
        return sum(map_blocks(3, 1, lambda rows: rows.stop))

    with side_by_side() as tasks:
        assert tasks.begin("caught", caught)() == 1 + 2 + 3
