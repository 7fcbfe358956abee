"""The newest interactions of a visitor, over two processes' views of one real file."""

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from models.events import InteractionKind
from service.intake.interactions import RecentEvent
from service.intake.quick_reads import QuickReads
from service.intake.recents import MAX_TOLD, RecentEvents
from service.stores.event_database import open_event_database
from service.stores.event_reads import EventReader, InteractionRow, KeyColumn
from service.stores.event_schema import RENDERED
from service.stores.events import Batch, StoredEvent
from service.stores.key_filter import KeyFilter
from service.stores.key_filter_filling import fill
from service.stores.sqlite_events import SqliteEventStore
from tests.unit.service.intake.samples import view


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return open_event_database(tmp_path)


@pytest.fixture
def store(path: Path) -> Iterator[SqliteEventStore]:
    store = SqliteEventStore(path, opened_ms=1)
    yield store
    store.abandon()


@pytest.fixture
def recents(path: Path) -> Iterator[RecentEvents]:
    recents = RecentEvents(EventReader(path), EventReader(path))
    yield recents
    recents.close()


def item_ids(
    recents: RecentEvents, user: str | None = "u", visitor: str | None = None
) -> list[str]:
    return [event.item_id for event in recents.get(user, visitor)]


def write(store: SqliteEventStore, *events: StoredEvent) -> None:
    store.commit(Batch(events=events))


def test_stored_events_are_read_on_a_miss_oldest_first(
    store: SqliteEventStore, recents: RecentEvents
) -> None:
    """Order is by the time of the event, not of its arrival."""
    write(store, view("b", item_id="p2", at_ms=900, kind=1), view("a", item_id="p1", at_ms=500))
    assert tuple(recents.get("u", None)) == (
        RecentEvent("p1", InteractionKind.VIEW, 500),
        RecentEvent("p2", InteractionKind.CLICK, 900),
    )
    assert recents.get("somebody else", None) == ()
    assert recents.get(None, None) == ()


def test_own_commit_is_seen_at_once(store: SqliteEventStore, recents: RecentEvents) -> None:
    """What `add` brings is there without reading the store again, and once only."""
    assert item_ids(recents) == []
    committed = store.commit(Batch(events=[view("a")]))
    assert item_ids(recents) == []
    recents.add(committed.added)
    recents.add(committed.added)
    assert item_ids(recents) == ["p1"]
    asyncio.run(recents.catch_up())
    assert item_ids(recents) == ["p1"]


def test_who_acted_is_told_once_and_after_those_who_wait(
    store: SqliteEventStore, recents: RecentEvents
) -> None:
    """By both keys; of what moves no recommendation, and of other processes', nobody hears."""
    told: list[tuple[str | None, str | None]] = []

    async def commit(*events: StoredEvent, n_turns: int) -> list[tuple[str | None, str | None]]:
        told.clear()
        recents.add(store.commit(Batch(events=events)).added)
        assert told == []
        for _ in range(n_turns):  # pages may come between any two
            await asyncio.sleep(0)
        return list(told)

    recents.tell = lambda *keys: told.append(keys)
    nothing = view("a", kind=RENDERED), view("b", item_id=None)
    assert asyncio.run(commit(*nothing, n_turns=9)) == []
    news = view("c"), view("d", item_id="p9"), view("e", anonymous_key="a")
    assert asyncio.run(commit(*news, n_turns=1)) == [("u", None)]
    again = (one._replace(event_id=f"{one.event_id}2") for one in news)
    assert asyncio.run(commit(*again, n_turns=9)) == [("u", None), ("u", "a")]
    many = (view(f"m{number}", user_key=f"u{number}") for number in range(MAX_TOLD + 5))
    heard = asyncio.run(commit(*many, n_turns=MAX_TOLD + 9))
    assert heard == [(f"u{number}", None) for number in range(MAX_TOLD)]


def test_other_processes_commit_is_seen_after_catching_up(
    store: SqliteEventStore, recents: RecentEvents
) -> None:
    """An empty answer that was cached does not hide what another process accepts later."""
    assert item_ids(recents) == []
    write(store, view("a"), view("b", user_key="other"))
    asyncio.run(recents.catch_up())
    assert item_ids(recents) == ["p1"]


def test_own_and_foreign_commits_in_between_lose_nothing(
    store: SqliteEventStore, recents: RecentEvents
) -> None:
    """Foreign, own, foreign: each is there once, whatever was caught up in between."""
    assert item_ids(recents) == []
    write(store, view("a", item_id="p1", at_ms=1))
    own = store.commit(Batch(events=[view("b", item_id="p2", at_ms=2)]))
    recents.add(own.added)
    assert item_ids(recents) == ["p2"]
    write(store, view("c", item_id="p3", at_ms=3))
    asyncio.run(recents.catch_up())
    assert item_ids(recents) == ["p1", "p2", "p3"]


def test_both_keys_are_read_and_an_event_with_both_counts_once(
    store: SqliteEventStore, recents: RecentEvents
) -> None:
    """A visit before signing in, one event with both ids, one with the user alone: three events."""
    write(
        store,
        StoredEvent("a", 0, 1, 9, anonymous_key="v", item_id="p1"),
        StoredEvent("b", 0, 2, 9, user_key="u", anonymous_key="v", item_id="p2"),
        StoredEvent("c", 0, 3, 9, user_key="u", item_id="p3"),
    )
    assert item_ids(recents, "u", "v") == ["p1", "p2", "p3"]
    assert item_ids(recents, None, "v") == ["p1", "p2"]


def test_only_the_newest_hundred_interactions_with_items(
    store: SqliteEventStore, recents: RecentEvents
) -> None:
    """Reports of slates and banner clicks are no interactions with an item."""
    write(store, *(view(f"e{i}", item_id=f"p{i}", at_ms=i) for i in range(150)))
    write(store, view("r", kind=RENDERED), StoredEvent("k", 1, 999, 999, "u", banner_id="b"))
    assert item_ids(recents) == [f"p{i}" for i in range(50, 150)]
    recents.add(store.commit(Batch(events=[view("n", item_id="new", at_ms=1_000)])).added)
    assert item_ids(recents) == [*(f"p{i}" for i in range(51, 150)), "new"]


def test_event_from_the_future_counts_from_its_arrival(
    store: SqliteEventStore, recents: RecentEvents
) -> None:
    """A clock that runs ahead cannot keep an item the newest for ever."""
    write(store, view("a", item_id="ahead", at_ms=10**12, received_ms=1_000))
    write(store, view("b", item_id="later", at_ms=2_000, received_ms=2_000))
    assert item_ids(recents) == ["ahead", "later"]


def test_cache_is_bounded_and_forgets_the_longest_unused(
    path: Path, store: SqliteEventStore
) -> None:
    """Three visitors with one event each cost six; with room for four the first read goes."""
    write(store, *(view(f"e{u}", user_key=u) for u in "abc"))
    recents = RecentEvents(EventReader(path), EventReader(path), max_cached=4)
    for user in "abc":
        assert item_ids(recents, user) == ["p1"]
    assert list(recents._entries) == ["b", "c"]
    assert recents._n_cached == 4
    assert item_ids(recents, "a") == ["p1"]
    recents.close()


def test_events_that_come_later_make_room_too(path: Path, store: SqliteEventStore) -> None:
    """Two known visitors fill it; what one of them does next lets go of the other."""
    write(store, view("a", user_key="a"), view("b", user_key="b"))
    recents = RecentEvents(EventReader(path), EventReader(path), max_cached=4)
    assert item_ids(recents, "a") == item_ids(recents, "b") == ["p1"]
    recents.add(store.commit(Batch(events=[view("c", user_key="b", item_id="p2")])).added)
    assert list(recents._entries) == ["b"]
    assert item_ids(recents, "b") == ["p1", "p2"]
    assert item_ids(recents, "a") == ["p1"]
    recents.close()


def test_quick_store_is_read_at_once(store: SqliteEventStore, path: Path) -> None:
    """While reads are quick, and none is under way in the thread; else it is left to the thread."""
    write(store, view("a", item_id="p1"))
    quick = QuickReads(lambda: 0.0)
    recents = RecentEvents(EventReader(path), EventReader(path), quick=quick)

    async def run() -> None:
        assert [event.item_id for event in recents.cached("u", None) or ()] == ["p1"]
        assert recents.cached("nobody", "device") == ()
        reading = asyncio.create_task(recents.read("other", None))
        await asyncio.sleep(0)
        assert recents.cached("third", None) is None
        await reading
        assert recents.cached("third", None) == ()

    asyncio.run(run())
    recents.close()


def test_key_without_rows_is_not_read_and_other_processes_events_count_at_once(
    store: SqliteEventStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is kept of it either, so that an event of another worker needs no poll to be seen."""
    fill(path)
    points, key_filter, quick = EventReader(path), KeyFilter(path), QuickReads(lambda: 0.0)
    recents = RecentEvents(points, EventReader(path), quick=quick, key_filter=key_filter)
    with monkeypatch.context() as patched:
        patched.setattr(points, "newest", None)
        assert recents.cached("u", "v") == recents.get("u", "v") == ()
        assert asyncio.run(recents.read("u", "v")) == ()
    assert not recents._entries
    write(store, view("a", item_id="p1"))
    assert [event.item_id for event in recents.cached("u", "v") or ()] == ["p1"]
    assert list(recents._entries) == ["u"]
    write(store, view("b", item_id="p2", user_key=None, anonymous_key="v", at_ms=2_000))
    assert item_ids(recents, "u", "v") == ["p1", "p2"]
    recents.close()
    key_filter.close()


def test_failed_read_at_once_is_left_to_the_thread(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says nothing, which sends the caller there."""
    recents = RecentEvents(EventReader(path), EventReader(path), quick=QuickReads(lambda: 0.0))

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(EventReader, "newest", fail)
    assert recents.cached("u", None) is None
    recents.close()


def test_read_in_a_thread_fills_the_cache(store: SqliteEventStore, recents: RecentEvents) -> None:
    """A miss is read once, then held; without keys there is nothing to read."""
    write(store, view("a", item_id="p1"))
    assert recents.cached("u", None) is None
    [event] = asyncio.run(recents.read("u", None))
    assert event.item_id == "p1"
    assert list(recents.cached("u", None) or ()) == [event]
    assert recents.cached(None, None) == ()


def test_event_committed_during_a_read_is_not_lost(
    store: SqliteEventStore, recents: RecentEvents
) -> None:
    """What arrives between the read and its answer is added behind it, once."""

    async def read_while_committing() -> list[str]:
        reading = asyncio.ensure_future(recents.read("u", None))
        await asyncio.sleep(0)  # the read is under way, its answer is not there
        recents.add(store.commit(Batch(events=[view("a")])).added)
        await reading
        return item_ids(recents)

    assert asyncio.run(read_while_committing()) == ["p1"]


def test_caller_that_gives_up_stops_no_read(store: SqliteEventStore, recents: RecentEvents) -> None:
    """The read goes on and serves the next caller."""
    write(store, view("a"))

    async def give_up() -> list[str]:
        reading = asyncio.ensure_future(recents.read("u", None))
        await asyncio.sleep(0)
        reading.cancel()
        await recents.read("u", None)
        return item_ids(recents)

    assert asyncio.run(give_up()) == ["p1"]


def test_shoppers_who_come_together_share_reads(
    path: Path, store: SqliteEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each gets their own events, by either key, and the store is asked once a kind of key."""
    write(store, view("a", item_id="p1"), view("b", item_id="p2", user_key="v"))
    points = EventReader(path)
    asked: list[tuple[str, int]] = []
    real = points.newest_of

    def counting(column: KeyColumn, keys: Sequence[str], limit: int) -> list[list[InteractionRow]]:
        asked.append((column, len(keys)))
        return real(column, keys, limit)

    monkeypatch.setattr(points, "newest_of", counting)
    recents = RecentEvents(points, EventReader(path))

    async def read_all() -> list[list[str]]:
        found = await asyncio.gather(
            *(recents.read(key, "device") for key in ("u", "v", "nobody", "u"))
        )
        return [[event.item_id for event in events] for events in found]

    assert asyncio.run(read_all()) == [["p1"], ["p2"], [], ["p1"]]
    assert asked == [("user_key", 3), ("anonymous_key", 1)]
    recents.close()


def test_failed_read_is_told_to_all_who_waited(
    recents: RecentEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the next read begins anew."""

    def broken(*_: object) -> None:
        raise OSError("the disk is gone")

    async def read_two() -> list[object]:
        return list(
            await asyncio.gather(
                recents.read("u", None), recents.read("v", None), return_exceptions=True
            )
        )

    with monkeypatch.context() as patched:
        patched.setattr(EventReader, "newest_of", broken)
        assert [str(error) for error in asyncio.run(read_two())] == ["the disk is gone"] * 2
    assert asyncio.run(read_two()) == [(), ()]
