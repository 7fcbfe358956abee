"""Reads that come together: one call for all of them, and each their own answer."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.intake.batches import Batches


class Reader:
    """Doubles numbers; 13 is refused, and everything while it is broken."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.is_broken = False

    def read_all(self, keys: list[int]) -> Sequence[int | Exception]:
        """Answer all keys of a call."""
        self.calls.append(keys)
        if self.is_broken:
            raise OSError("gone")
        return [ValueError("13") if key == 13 else 2 * key for key in keys]


def test_keys_that_come_together_are_read_together() -> None:
    """A repeated key is read once, and one that fails spoils no other."""
    reader = Reader()

    async def read() -> list[object]:
        with ThreadPoolExecutor(1) as thread:
            batches: Batches[int, int] = Batches(thread, reader.read_all)
            return list(
                await asyncio.gather(
                    *(batches.read(key) for key in (1, 2, 13, 1)), return_exceptions=True
                )
            )

    first, second, refused, again = asyncio.run(read())
    assert (first, second, again) == (2, 4, 2)
    assert isinstance(refused, ValueError)
    assert reader.calls == [[1, 2, 13]]


def test_failed_call_is_told_to_each_and_the_next_begins_anew() -> None:
    """The exception is theirs who waited."""
    reader = Reader()
    reader.is_broken = True

    async def read() -> int:
        with ThreadPoolExecutor(1) as thread:
            batches: Batches[int, int] = Batches(thread, reader.read_all)
            with pytest.raises(OSError, match="gone"):
                await batches.read(1)
            reader.is_broken = False
            return await batches.read(1)

    assert asyncio.run(read()) == 2
