"""Exposures that wait: packed in the event loop behind the answers, or at the latest when taken."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from service.exposure import Exposure
from service.intake.exposure_queue import ExposureQueue
from service.stores.exposure_rows import exposure_rows, pack_exposures, unpack_exposures
from tests.unit.service.intake.samples import slate


def make_queue(max_pending: int = 100, packed: list[list[str]] | None = None) -> ExposureQueue:
    """Make a queue that notes the ids of what is packed together."""

    def pack(exposures: Sequence[Exposure]) -> msgspec.Raw:
        if packed is not None:
            packed.append([one.exposure_id for one in exposures])
        return pack_exposures(exposures)

    return ExposureQueue(count=lambda _name, _n: None, max_pending=max_pending, pack=pack)


def test_pages_are_packed_behind_the_answer() -> None:
    """While the page is answered nothing is packed; one turn of the event loop later both are."""
    packed: list[list[str]] = []
    queue = make_queue(packed=packed)

    async def use() -> None:
        queue.put_all([slate("a"), slate("b")])
        queue.put_all([slate("c")])
        assert packed == []
        await asyncio.sleep(0)
        assert packed == [["a", "b"], ["c"]]
        queue.put_all([slate("d")])
        await asyncio.sleep(0)

    asyncio.run(use())
    taken = queue.take(10)
    assert packed == [["a", "b"], ["c"], ["d"]]
    rows = unpack_exposures([page.packed for page in taken if page.packed is not None])
    everything = exposure_rows([one for page in taken for one in page.exposures])
    assert rows.values == everything.values
    assert sorted(rows.dealt) == sorted(everything.dealt)


def test_what_is_taken_first_is_packed_then() -> None:
    """The writer thread may come before the event loop's next turn, or where there is none."""
    packed: list[list[str]] = []
    queue = make_queue(packed=packed)
    queue.put(slate("a"))

    async def use() -> None:
        queue.put(slate("b"))
        assert [page.packed is not None for page in queue.take(10)] == [True, True]

    asyncio.run(use())
    assert packed == [["a"], ["b"]]


def test_a_text_that_cannot_be_packed_harms_no_other() -> None:
    """It stays as it is, for the store to refuse; the pages beside it are packed."""
    queue = make_queue()

    async def use() -> None:
        for page in ("ok", "\ud800", "fine"):
            queue.put(slate(page, page=page))
        await asyncio.sleep(0)

    asyncio.run(use())
    assert [page.packed is not None for page in queue.take(10)] == [True, False, True]


@pytest.mark.parametrize("n", [1, 2, 3, 50])
def test_queue_counts_exposures_not_pages(n: int) -> None:
    """Whole pages are taken until there are enough; what is given back stands in front again."""
    queue = make_queue(max_pending=5)
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
