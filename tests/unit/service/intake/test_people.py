"""Who is dealt as whom: the first arm is kept, the first write wins, conflicts are linked."""

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.exposure import Exposure
from service.intake.people import RECHECK_MS, People
from service.intake.quick_reads import QuickReads
from service.rollouts.compiled import compile_rollout
from service.rollouts.definition import Rollout
from service.rollouts.evaluate import evaluate, has_crossed
from service.rollouts.visitor import Person, Unit, Visitor
from service.stores.event_database import open_event_database
from service.stores.events import Batch
from service.stores.identities import IdentityStore, UnitRow
from service.stores.key_filter import KeyFilter
from service.stores.key_filter_filling import empty, fill
from service.stores.sqlite_events import SqliteEventStore
from tests.unit.service.intake.samples import slate

ROLLOUT = compile_rollout(Rollout(key="r", share=0.5))


class World:
    """An event store, workers that deal visitors, and a hand on the clock."""

    def __init__(self, home: Path, n_workers: int = 1) -> None:
        self.path = open_event_database(home)
        self.now_ms = 1_000
        self.n_unread = 0
        self.n_shown = 0
        self.events = SqliteEventStore(self.path, opened_ms=1)
        self.key_filter = KeyFilter(self.path)
        fill(self.path)
        self.workers = [
            People(
                IdentityStore(self.path),
                IdentityStore(self.path),
                now_ms=lambda: self.now_ms,
                count_unread=self._count,
                key_filter=self.key_filter,
            )
            for _ in range(n_workers)
        ]

    def person(self, user: str | None, anonymous: str | None, worker: int = 0) -> Person:
        """Ask a worker that has heard of everything written so far."""

        async def ask() -> Person:
            people = self.workers[worker]
            await people.catch_up()
            return await people.person(user, anonymous, 5.0)

        return asyncio.run(ask())

    def show(self, user: str | None, anonymous: str | None, worker: int = 0) -> Exposure:
        """Deal a visitor in a rollout over users, and store the exposure."""
        person = self.person(user, anonymous, worker)
        visitor = Visitor(user, anonymous, now_ms=1, person=person)
        assignment = evaluate(ROLLOUT, visitor)
        unit = ROLLOUT.unit(visitor)
        assert unit is not None
        self.n_shown += 1
        exposure = slate(
            f"e{self.n_shown}",
            unit_kind=unit.kind,
            unit_key=unit.key,
            user_key=user,
            anonymous_key=anonymous,
            variant=assignment.variant,
            crossover=has_crossed(ROLLOUT, visitor, assignment),
        )
        self.events.commit(Batch(exposures=[exposure]))
        return exposure

    def close(self) -> None:
        """Close everything."""
        for worker in self.workers:
            worker.close()
        self.events.close(2)
        self.key_filter.close()

    def _count(self) -> None:
        self.n_unread += 1


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Open a world of two workers."""
    opened = World(tmp_path, n_workers=2)
    yield opened
    opened.close()


def test_visitor_who_signs_in_is_dealt_as_before(world: World) -> None:
    """Seen as a1, then signed in as u: u is a1 for good, on another device and worker too."""
    first = world.show(None, "a1")
    for user, anonymous, worker in (("u", "a1", 0), ("u", None, 1), ("u", "a2", 1), ("u", "a1", 1)):
        shown = world.show(user, anonymous, worker)
        assert (shown.unit_kind, shown.unit_key) == ("anonymous_id", "a1")
        assert (shown.variant, shown.crossover) == (first.variant, False)


def test_user_never_seen_as_a_visitor_is_dealt_as_the_user(world: World) -> None:
    """Both ids at once on a new device: the user; a device seen later does not move them."""
    assert world.show("u", "a1").unit_key == "u"
    world.show(None, "a2")
    shown = world.show("u", "a2")
    assert shown.unit_key == "u"
    assert world.person("u", "a2").others == (Unit("anonymous_id", "a2"),)
    assert world.person(None, "a2").others == (Unit("user_id", "u"),)


def test_device_of_two_users_is_adopted_by_the_first(world: World) -> None:
    """The second user is dealt as themselves, and linked to the device they share."""
    world.show(None, "a1")
    assert world.show("u1", "a1").unit_key == "a1"
    assert world.show("u2", "a1").unit_key == "u2"
    assert world.person("u2", None, worker=1).others == (Unit("anonymous_id", "a1"),)
    assert world.person("u1", None, worker=1).others == (Unit("user_id", "u2"),)


def test_exposure_is_marked_where_linked_units_have_different_arms(world: World) -> None:
    """A user with two devices in different arms stays in the first one's, marked on both."""

    def variant_of(key: str) -> str:
        return evaluate(ROLLOUT, Visitor(None, key, now_ms=1)).variant

    other = next(f"b{n}" for n in range(99) if variant_of(f"b{n}") != variant_of("a"))
    same = next(f"c{n}" for n in range(99) if variant_of(f"c{n}") == variant_of("a"))
    for device in ("a", same, other):
        assert not world.show(None, device).crossover
    assert not world.show("u", "a").crossover
    assert not world.show("u", same).crossover
    crossed = world.show("u", other)
    assert (crossed.variant, crossed.crossover) == (variant_of("a"), True)
    assert world.show(None, other).crossover
    assert world.show("u", None, worker=1).crossover


def test_signing_out_and_in_again_is_noticed(world: World) -> None:
    """A pair that is cached is asked about again after a while, without a wait."""
    world.show(None, "a0")
    world.show("u", "a0")
    world.show("u", "a1")
    world.show(None, "a1")
    assert world.person("u", "a1").others == ()
    world.now_ms += RECHECK_MS + 1

    async def ask_twice() -> Person | None:
        people = world.workers[0]
        assert people.cached("u", "a1") == Person(Unit("anonymous_id", "a0"))
        await people.read("u", "a1")
        return people.cached("u", "a1")

    person = asyncio.run(ask_twice())
    assert person is not None
    assert person.others == (Unit("anonymous_id", "a1"),)


def test_anonymous_visitor_is_never_read(world: World) -> None:
    """Without a user and without a link there is nothing to find out, and no id is nobody."""
    people = world.workers[0]
    assert people.cached(None, "new") == Person(Unit("anonymous_id", "new"))
    assert people.cached(None, None) == Person(None)
    assert not people._entries


def test_new_user_is_not_kept_and_what_another_worker_writes_counts_at_once(world: World) -> None:
    """A worker that has just dealt u as u, without a read, hears of their device in the moment that
    another one has dealt it: not after a poll, and not after a cached answer has grown old."""
    people = world.workers[0]
    assert people.cached("u", "a1") == Person(Unit("user_id", "u"))
    world.show(None, "a1", worker=1)
    assert people.cached("u", "a1") is None
    world.show("u", "a1", worker=1)
    assert people.cached("u", None) is None
    assert asyncio.run(people.person("u", "a1", 5.0)) == Person(Unit("anonymous_id", "a1"))


def test_visitor_is_read_while_the_filter_is_not_filled(world: World) -> None:
    """The start of a service: a visitor who was linked before is known as such."""
    world.show("u", "a2")
    world.show(None, "a2")
    world.show("u", "a2")
    empty(world.path)
    people = world.workers[1]
    assert people.cached(None, "new") is None
    assert asyncio.run(people.person(None, "a2", 5.0)).others == (Unit("user_id", "u"),)
    assert asyncio.run(people.person(None, "new", 5.0)).others == ()
    stores = IdentityStore(world.path), IdentityStore(world.path)
    quick = People(*stores, now_ms=lambda: 1, quick=QuickReads(lambda: 0.0))
    assert quick.cached(None, "newer") == Person(Unit("anonymous_id", "newer"))
    assert quick.cached(None, "a2") is None
    quick.close()


def test_user_of_whom_nothing_is_written_is_known_at_once(world: World) -> None:
    """Others are left to the thread: a device that was dealt alone, and who is written down."""
    world.show(None, "dealt alone")
    world.show(None, "a1")
    world.show("u", "a1")
    stores = IdentityStore(world.path), IdentityStore(world.path)
    people = People(*stores, now_ms=lambda: world.now_ms, quick=QuickReads(lambda: 0.0))
    assert people.cached("new", "new device") == Person(Unit("user_id", "new"))
    assert people.cached("new", None) == Person(Unit("user_id", "new"))
    assert people.cached("new", "dealt alone") is None
    assert people.cached("u", "another device") is None
    people.close()


def test_visitor_who_cannot_be_read_in_time_is_answered_and_marked(world: World) -> None:
    """At the deadline it is the user, whose device counts as another unit; nothing is kept."""
    empty(world.path)

    async def ask() -> tuple[Person, Person]:
        people = world.workers[0]
        late = await people.person("u", "a1", 0.0)
        await people.read("u", "a1")
        return late, await people.person("u", "a1", 0.0)

    late, later = asyncio.run(ask())
    assert late == Person(Unit("user_id", "u"), (Unit("anonymous_id", "a1"),))
    assert later == Person(Unit("user_id", "u"))
    assert world.n_unread == 1


def test_store_that_cannot_be_written_settles_nothing(world: World) -> None:
    """While another process holds the lock the visitor is answered; afterwards it is settled."""
    world.show(None, "a1")
    holder = sqlite3.connect(world.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert world.person("u", "a1").others == (Unit("anonymous_id", "a1"),)
    holder.execute("ROLLBACK")
    holder.close()
    assert world.person("u", "a1") == Person(Unit("anonymous_id", "a1"))


def test_first_write_wins(tmp_path: Path) -> None:
    """Two workers that bring one user and two devices together at once agree on one unit."""
    world = World(tmp_path)
    world.show(None, "a1")
    world.show(None, "a2")
    one, other = IdentityStore(world.path), IdentityStore(world.path)
    try:
        assert one._is_open("u", "a1")
        assert other._is_open("u", "a2")
        one._write("u", "a1", 1)
        other._write("u", "a2", 1)
        for store in (one, other):
            found = store.settle("u", None, 2)
            assert found.unit == UnitRow("anonymous_id", "a1")
            assert found.others == [UnitRow("anonymous_id", "a2")]
    finally:
        one.close()
        other.close()
        world.close()


def test_cache_is_bounded(world: World) -> None:
    """The oldest pair goes first, and nothing of it stays."""
    people = People(
        IdentityStore(world.path), IdentityStore(world.path), now_ms=lambda: 1, max_cached=2
    )

    async def fill() -> None:
        for user in ("u1", "u2", "u3"):
            await people.read(user, None)

    asyncio.run(fill())
    assert [people.cached(user, None) is None for user in ("u1", "u2", "u3")] == [
        True,
        False,
        False,
    ]
    assert set(people._pairs) == {"u2", "u3"}
    people.close()


visits = st.lists(
    st.tuples(
        st.sampled_from([None, "u1", "u2"]),
        st.sampled_from([None, "a1", "a2", "a3"]),
        st.integers(0, 1),
    ).filter(lambda visit: visit[:2] != (None, None)),
    max_size=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(visits)
def test_nobody_is_ever_dealt_anew(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[str | None, str | None, int]]
) -> None:
    """Whatever meets whom in whichever worker, a signed-in user never changes the unit once a
    device they came from was known or they were shown anything; no two users share one; and
    whoever is first seen on a device keeps its arm when they sign in."""
    world = World(tmp_path_factory.mktemp("home"), n_workers=2)
    unit_of: dict[str, str | None] = {}
    adopted: dict[str | None, str] = {}
    seen_alone: set[str | None] = set()
    try:
        for user, anonymous, worker in history:
            shown = world.show(user, anonymous, worker)
            if user is None:
                assert shown.unit_key == anonymous
                seen_alone.add(anonymous)
                continue
            if user not in unit_of:
                keeps = anonymous in seen_alone and anonymous not in adopted
                assert shown.unit_key == (anonymous if keeps else user)
                unit_of[user] = shown.unit_key
                adopted[shown.unit_key] = user
            assert shown.unit_key == unit_of[user]
            assert adopted[shown.unit_key] == user
    finally:
        world.close()


def test_pairs_settled_together_are_settled_alike(tmp_path: Path) -> None:
    """Unknown, to be written, written, linked and without a user: each as if it came alone."""
    pairs: list[tuple[str | None, str | None]] = [
        ("new", "device"),
        ("u", "a1"),
        ("v", "a1"),
        ("u", None),
        (None, "a1"),
        ("w", None),
    ]
    found = []
    for name in ("together", "alone"):
        (tmp_path / name).mkdir()
        world = World(tmp_path / name)
        world.show(None, "a1")
        store = IdentityStore(world.path)
        for _ in range(2):
            if name == "together":
                found.append(store.settle_all(pairs, 5))
            else:
                found.append([store.settle(*pair, 5) for pair in pairs])
        store.close()
        world.close()
    assert found[:2] == found[2:]
