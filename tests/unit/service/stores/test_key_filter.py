"""Which pseudonyms have no row: never wrong about one that has, and rarely about others."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.errors import StoreError
from service.stores import key_filter
from service.stores.event_database import connect, open_event_database
from service.stores.events import Batch, StoredEvent
from service.stores.file_lease import FileLease
from service.stores.identities import IdentityStore
from service.stores.key_filter import FILTER_FILE, ROW_KINDS, KeyFilter, probes
from service.stores.key_filter_filling import LEASE_FILE, empty, fill, keep_filled
from service.stores.personal_rows import delete_rows
from service.stores.sqlite_events import SqliteEventStore
from tests.unit.service.intake.samples import slate, view


def keys(n: int, name: str = "k") -> list[str]:
    """Make pseudonyms as they are made of ids."""
    return [blake2b(f"{name}{i}".encode(), digest_size=16).hexdigest() for i in range(n)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return open_event_database(tmp_path)


@pytest.fixture
def opened(path: Path) -> Iterator[KeyFilter]:
    with closing(KeyFilter(path)) as opened:
        yield opened


def is_filled(opened: KeyFilter) -> bool:
    return opened.is_filled


def n_lacking(opened: KeyFilter, asked: list[str]) -> int:
    return sum(opened.lacks("recent", key) for key in asked)


def test_filter_that_is_not_filled_knows_nothing(path: Path, opened: KeyFilter) -> None:
    """Until the rows that were there before are in it, everybody may have some."""
    assert not is_filled(opened)
    assert not opened.lacks("recent", "somebody")
    fill(path)
    assert is_filled(opened)
    assert opened.lacks("recent", "somebody")


def test_noted_key_is_seen_by_every_process_and_of_its_kind_only(
    path: Path, opened: KeyFilter
) -> None:
    """What one process notes is in the file that all map, under the kind of its row."""
    fill(path)
    with closing(KeyFilter(path)) as other:
        other.note("identity", ["u", "ü" * 32])
    assert not opened.lacks("identity", "u")
    assert not opened.lacks("identity", "ü" * 32)
    assert opened.lacks("identity", "v")
    assert opened.lacks("recent", "u")


def test_filling_finds_rows_of_all_tables(path: Path, opened: KeyFilter) -> None:
    """Users and devices of events with an item, units dealt by chance, identities and links; an
    event without an item is nothing that anybody reads."""
    store, identities = SqliteEventStore(path, opened_ms=1), IdentityStore(path)
    store.commit(
        Batch(
            events=[
                view("a", user_key="buyer", anonymous_key="phone"),
                StoredEvent("b", 1, 1, 1, user_key="clicker", banner_id="sale"),
            ],
            exposures=[
                slate("e", unit_kind="anonymous_id", unit_key="laptop", user_key=None),
                slate("f", unit_kind="anonymous_id", unit_key="tablet", user_key=None),
            ],
        )
    )
    identities.settle("u", "laptop", 1)
    identities.settle("u", "tablet", 1)
    store.close(2)
    identities.close()
    empty(path)
    fill(path)
    assert not opened.lacks("recent", "buyer")
    assert not opened.lacks("recent", "phone")
    assert opened.lacks("recent", "clicker")
    assert not opened.lacks("dealt", "laptop")
    for key in ("u", "laptop", "tablet"):
        assert not opened.lacks("identity", key)
    assert opened.lacks("identity", "buyer")


def test_rows_are_noted_before_they_can_be_read(path: Path, opened: KeyFilter) -> None:
    """In the transaction: who finds nothing in the filter could not have read a row."""
    fill(path)
    store = SqliteEventStore(path, opened_ms=1)
    seen: list[tuple[bool, int]] = []

    class Spying:
        def __init__(self) -> None:
            self.connection = store._tables.connection

        def execute(self, statement: str, *values: Any) -> object:
            if statement == "COMMIT":
                with closing(connect(path, read_only=True)) as reader:
                    n_rows = reader.execute("SELECT count(*) FROM events").fetchone()[0]
                seen.append((opened.lacks("recent", "u"), n_rows))
            return self.connection.execute(statement, *values)

        def __getattr__(self, name: str) -> object:
            return getattr(self.connection, name)

    store._tables.connection = Spying()  # type: ignore[assignment]  # looks on at the last moment
    store.commit(Batch(events=[view("a")]))
    assert seen == [(False, 0)]
    store.abandon()


def test_few_keys_are_wrongly_taken_for_known(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the most keys that a part takes, one in a hundred or fewer."""
    monkeypatch.setattr(key_filter, "FIRST_BITS", 1 << 18)
    n = key_filter.FIRST_BITS // key_filter.BITS_PER_KEY
    with closing(KeyFilter(path)) as opened:
        _check_misses(path, opened, n)


def _check_misses(path: Path, opened: KeyFilter, n: int) -> None:
    fill(path)
    bits = np.zeros(key_filter.FIRST_BITS, dtype=np.bool_)
    first, step = probes("recent", keys(n))
    for turn in range(key_filter.N_PROBES):
        bits[(first + turn * step) % len(bits)] = True
    opened.merge([np.packbits(bits, bitorder="little")], n)
    assert n_lacking(opened, keys(1_000)) == 0
    assert n_lacking(opened, keys(20_000, "other")) > 20_000 * 0.985


def test_filter_grows_and_every_process_sees_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With room for 13 keys in the first part and twice as many in each further one."""
    monkeypatch.setattr(key_filter, "FIRST_BITS", 1 << 15)
    monkeypatch.setattr(key_filter, "BITS_PER_KEY", (1 << 15) // 13)
    with closing(KeyFilter(path)) as writer, closing(KeyFilter(path)) as reader:
        fill(path)
        known = keys(60)
        for key in known:
            writer.note("recent", [key, key])
            assert not reader.lacks("recent", key)
        assert len(writer._parts) == len(reader._parts) == 3  # 14, 27 and 19 keys
        assert n_lacking(reader, known) == 0
        assert n_lacking(reader, keys(60, "other")) > 55
        writer.clear()
        assert not is_filled(reader)
        assert writer._header[1] == 1
        fill(path)
        assert n_lacking(reader, known) == 60
        writer.note("recent", known[:1])
        assert not reader.lacks("recent", known[0])


def test_filling_uses_as_many_parts_as_it_needs(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shop that was there before has more keys than the first part takes."""
    monkeypatch.setattr(key_filter, "FIRST_BITS", 1 << 15)
    store = SqliteEventStore(path, opened_ms=1)
    known = keys(30_000)
    store.commit(Batch(events=[view(key, user_key=key) for key in known]))
    store.close(2)
    with closing(KeyFilter(path)) as opened:
        fill(path)
        assert n_lacking(opened, known) == 0
        assert len(opened._parts) > 3
        assert n_lacking(opened, keys(1_000, "other")) > 900


def test_file_that_nobody_uses_any_more_is_worth_nothing(path: Path) -> None:
    """Who comes first begins anew; who comes second joins."""
    with closing(KeyFilter(path)) as first:
        fill(path)
        with closing(KeyFilter(path)) as second:
            assert is_filled(second)
        assert is_filled(first)
    with closing(KeyFilter(path)) as third:
        assert not is_filled(third)


def test_file_of_a_process_that_was_killed_is_worth_nothing(path: Path) -> None:
    """Whatever it left there, half a commit or an older layout."""
    script = f"""
import os, pathlib
from service.stores.key_filter import KeyFilter
from service.stores.key_filter_filling import fill
path = pathlib.Path({str(path)!r})
opened = KeyFilter(path)
fill(path)
assert opened.is_filled
os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9
    with closing(KeyFilter(path)) as opened:
        assert not is_filled(opened)
        assert not opened._parts[0][0][:].strip(b"\0")


def test_erased_person_leaves_no_trace(path: Path, opened: KeyFilter) -> None:
    """The filter is emptied and filled again from the rows that are left."""
    store = SqliteEventStore(path, opened_ms=1)
    store.commit(Batch(events=[view("a", user_key="gone"), view("b", user_key="stays")]))
    store.close(2)
    fill(path)
    delete_rows(path, ["gone"])
    empty(path)
    assert not opened.lacks("recent", "gone")
    fill(path)
    assert opened.lacks("recent", "gone")
    assert not opened.lacks("recent", "stays")


def test_filling_that_was_overtaken_counts_for_nothing(path: Path, opened: KeyFilter) -> None:
    """Emptied while rows were read: what was read may be gone."""
    store = SqliteEventStore(path, opened_ms=1)
    store.commit(Batch(events=[view("a")]))
    store.close(2)

    def interrupt() -> bool:
        empty(path)
        return False

    fill(path, interrupt)
    assert not is_filled(opened)
    fill(path, lambda: True)
    assert not is_filled(opened)


def test_bits_that_are_missing_because_it_is_just_emptied_say_nothing(
    path: Path, opened: KeyFilter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Emptied and filled again between the look at the bits and the answer."""
    fill(path)
    found = key_filter._is_in

    def slow(*asked: object) -> bool:
        is_in = found(*asked)  # type: ignore[arg-type]  # whatever it is asked
        monkeypatch.undo()
        empty(path)
        fill(path)
        return is_in

    monkeypatch.setattr(key_filter, "_is_in", slow)
    assert not opened.lacks("recent", "u")
    assert opened.lacks("recent", "u")


def test_filter_that_is_emptied_is_filled_again(path: Path, opened: KeyFilter) -> None:
    """By whoever takes the lease, and nobody fills it twice."""

    async def until_filled() -> None:
        task = asyncio.create_task(keep_filled(path, opened, poll_s=0.001))
        while not is_filled(opened):
            await asyncio.sleep(0.001)
        empty(path)
        while not is_filled(opened):
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(asyncio.wait_for(until_filled(), 30))
    assert opened.age == 1
    other = FileLease(path.with_name(LEASE_FILE))
    assert other.take()
    other.give_back()


@pytest.mark.parametrize(
    "key",
    ["u", "a1", "-" * 32, "-" + keys(1)[0][1:], "1_" * 16, "a" * 16 + "z" * 16, "ÄÖÜ", "Ä" * 32],
)
def test_key_that_is_no_hash_is_found_as_well(path: Path, opened: KeyFilter, key: str) -> None:
    """Whether it was noted or found in the rows."""
    store = SqliteEventStore(path, opened_ms=1)
    store.commit(Batch(events=[view("a", user_key=key)]))
    fill(path)
    assert not opened.lacks("recent", key)
    empty(path)
    fill(path)
    assert not opened.lacks("recent", key)
    for kind in ROW_KINDS[1:]:
        assert opened.lacks(kind, key)
        opened.note(kind, [key])
        assert not opened.lacks(kind, key)
    store.close(2)


def test_filter_that_cannot_be_made_is_refused(path: Path) -> None:
    """Else other processes would trust a filter that misses what this one writes."""
    path.with_name(FILTER_FILE).mkdir()
    with pytest.raises(StoreError, match=FILTER_FILE):
        KeyFilter(path)
