"""Exposures that wait: packed in the event loop behind the answers, or at the latest when taken."""

import asyncio
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from service.intake.exposure_queue import MAX_PIECE, ExposureQueue, Piece
from service.stores.exposure_rows import COLUMNS, exposure_rows, unpack_exposures
from tests.unit.service.intake.samples import slate

HUGE = 2**63
"""MessagePack takes it, no table does."""


def make_queue(max_pending: int = 100, counts: Counter[str] | None = None) -> ExposureQueue:
    """Make a queue that packs, and counts what it counts."""
    counted: Counter[str] = Counter() if counts is None else counts

    def count(name: str, n: int) -> None:
        counted[name] += n

    return ExposureQueue(count=count, max_pending=max_pending, packs=True)


def ids_of(pieces: Sequence[Piece]) -> list[Any]:
    """Return the ids of the exposures in packed pieces."""
    values = unpack_exposures([one.packed for one in pieces if one.packed is not None]).values
    return values[COLUMNS.index("exposure_id") :: len(COLUMNS)]


def test_pages_are_packed_behind_the_answer() -> None:
    """While the page is answered nothing is packed; a turn of the event loop later all are."""
    queue = make_queue()
    page = [slate("a", user_key=None, unit_key="x"), slate("b", user_key=None, unit_key="y")]
    more = [slate("c", user_key=None, unit_key="x"), slate("d")]

    async def use() -> None:
        queue.put_all(page)
        assert queue._packed.n_exposures == 0  # when it is done is what this is about
        queue.put_all(more)
        await asyncio.sleep(0)
        assert queue._packed.n_exposures == 4

    asyncio.run(use())
    [piece] = taken = queue.take(10)
    assert (piece.n, piece.exposures) == (4, ())
    rows, everything = (
        unpack_exposures([one.packed for one in taken if one.packed]),
        exposure_rows([*page, *more]),
    )
    assert rows.values == everything.values
    assert sorted(rows.dealt) == sorted(everything.dealt) == ["x", "y"]


def test_pages_are_counted_behind_the_answer() -> None:
    """Once for all pages of a turn of the event loop; without one at once."""
    calls: list[tuple[str, int]] = []
    queue = ExposureQueue(count=lambda name, n: calls.append((name, n)), max_pending=4, packs=True)

    async def use() -> None:
        assert queue.put_all([slate("a"), slate("b")]) == 2
        assert queue.put_all([]) == 0
        assert queue.put_all([slate("c"), slate("d"), slate("e")]) == 2
        assert calls == [("dropped", 1)]
        await asyncio.sleep(0)
        assert calls[1:] == [("served", 5), ("assigned", 4)]
        calls.clear()
        assert queue.put_all([slate("f"), slate("g")]) == 0
        assert ids_of(queue.take(3)) == ["a", "b", "c", "d"]
        await asyncio.sleep(0)
        assert calls == [("dropped", 2), ("served", 2), ("assigned", 0)]

    asyncio.run(use())
    calls.clear()
    assert queue.put(slate("h"))
    assert calls == [("served", 1), ("assigned", 1)]
    assert ids_of(queue.take(1)) == ["h"]


def test_what_is_taken_first_is_packed_then() -> None:
    """The writer thread may come before the event loop's next turn, or where there is none."""
    queue = make_queue()
    queue.put(slate("a"))

    async def use() -> None:
        queue.put(slate("b"))
        assert ids_of(queue.take(10)) == ["a", "b"]
        queue.put(slate("c"))

    asyncio.run(use())
    assert ids_of(queue.take(10)) == ["c"]
    assert len(queue) == 0


def test_a_text_that_cannot_be_packed_harms_no_other() -> None:
    """It is dropped and counted; the exposures before it, behind it and of its page are packed."""
    counts: Counter[str] = Counter()
    queue = make_queue(counts=counts)

    async def use() -> None:
        queue.put(slate("a"))
        queue.put_all([slate("b"), slate("c", page="\ud800"), slate("d")])
        await asyncio.sleep(0)
        queue.put(slate("e", shown=slate("e").shown[:1]))

    asyncio.run(use())
    taken = queue.take(10)
    assert ids_of(taken) == ["a", "b", "d", "e"]
    assert (len(queue), sum(piece.n for piece in taken)) == (0, 4)
    assert counts == {"served": 5, "assigned": 5, "dropped": 1}
    assert queue.ledger(4) == {"served": 5, "assigned": 4, "dropped": 1}


def test_what_is_dropped_in_the_end_is_counted_once() -> None:
    """Neither one that cannot be packed counts twice, nor one not at all that comes meanwhile."""

    class Late(ExposureQueue):
        def take(self, n_exposures: int) -> list[Piece]:
            self.put(slate("late"))  # as the event loop does between two lines of the thread
            return super().take(n_exposures)

    counts: Counter[str] = Counter()
    queue = Late(count=lambda name, n: counts.update({name: n}), packs=True)
    queue.put_all([slate("a"), slate("b", page="\ud800")])
    queue.drop_waiting("nobody writes any more")
    assert counts == {"served": 3, "assigned": 3, "dropped": 3}
    assert queue.ledger(0) == {"served": 3, "assigned": 0, "dropped": 3}
    assert len(queue) == 0


@pytest.mark.parametrize("n", [1, 2, 3, 50])
def test_queue_counts_exposures_not_pages(n: int) -> None:
    """Whole pages are taken until there are enough; what is given back stands in front again."""
    queue = ExposureQueue(count=lambda _name, _n: None, max_pending=5)
    assert queue.put_all([slate("a"), slate("b")]) == 2
    assert queue.put_all([slate("c"), slate("d"), slate("e"), slate("f")]) == 3
    assert queue.put(slate("g")) is False
    taken = queue.take(n)
    ids = [one.exposure_id for page in taken for one in page.exposures]
    assert ids == (["a", "b"] if n <= 2 else ["a", "b", "c", "d", "e"])
    assert len(queue) == 5 - len(ids)
    queue.give_back(taken)
    assert len(queue) == 5
    every = [one.exposure_id for page in queue.take(50) for one in page.exposures]
    assert every == ["a", "b", "c", "d", "e"]


def test_pieces_are_of_some_hundred_exposures_and_come_back_in_order() -> None:
    """As many as are wanted are taken, a piece more at most; refused ones are first again."""
    n = 3 * MAX_PIECE + 7
    queue = make_queue(max_pending=n)
    for number in range(n):
        assert queue.put(slate(f"e{number}"))
    assert queue.put(slate("too many")) is False
    taken = queue.take(MAX_PIECE + 1)
    assert [piece.n for piece in taken] == [MAX_PIECE, MAX_PIECE]
    assert len(queue) == n - 2 * MAX_PIECE
    queue.give_back(taken)
    assert len(queue) == n
    everything = queue.take(n)
    assert ids_of(everything) == [f"e{number}" for number in range(n)]
    assert len(queue) == 0


def test_each_exposure_of_a_piece_can_be_a_piece() -> None:
    """Of packed ones as of others: for the store that takes all but one."""
    page = [slate("a", user_key=None, unit_key="x"), slate("b"), slate("c", at_ms=HUGE)]
    wrong = slate("e", epoch=1.5)
    [plain] = Piece(3, page).each()[1:2]
    assert (plain.n, [one.exposure_id for one in plain.exposures]) == (1, ["b"])
    queue = make_queue()
    queue.put_all(page)
    queue.put_all([slate("d", user_key=None, unit_key="x"), wrong])
    each = [one for piece in queue.take(10) for one in piece.each()]
    assert [one.n for one in each] == [1, 1, 1, 1, 1]
    with pytest.raises(ValueError, match="float"):  # where it is read it is refused, and alone
        ids_of([each.pop()])
    assert ids_of(each) == ["a", "b", "c", "d"]
    rows = [unpack_exposures([one.packed]) for one in each if one.packed is not None]
    assert [one.values for one in rows[:3]] == [exposure_rows([one]).values for one in page]
    assert [one.dealt for one in rows] == [["x"], [], [], ["x"]]


def test_two_threads_lose_and_repeat_nothing() -> None:
    """One makes exposures in an event loop, one takes them, as often as the system lets it."""
    n_pages, counts = 20_000, Counter[str]()
    queue = make_queue(max_pending=3 * n_pages, counts=counts)
    taken: list[Piece] = []
    done = threading.Event()
    template = slate("x", shown=())
    pages = [[template, template, template][: 1 + number % 3] for number in range(n_pages)]

    def take() -> None:
        while not done.is_set() or len(queue):
            taken.extend(queue.take(100))

    async def make() -> None:
        for number, page in enumerate(pages):
            queue.put_all(page)
            if number % 5 == 0:
                await asyncio.sleep(0)

    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    taker = threading.Thread(target=take)
    try:
        taker.start()
        asyncio.run(make())
    finally:
        done.set()
        taker.join()
        sys.setswitchinterval(interval_s)
    n = sum(map(len, pages))
    assert sum(piece.n for piece in taken) == len(ids_of(taken)) == n
    assert counts == {"served": n, "assigned": n}
    assert len(queue) == 0
