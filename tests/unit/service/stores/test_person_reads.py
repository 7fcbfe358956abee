"""One person's rows, found by index in a store of many."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from service.exposure import Exposure
from service.stores import person_reads
from service.stores.event_database import connect
from service.stores.event_log import Database, EventLog
from service.stores.event_schema import EventFlag
from service.stores.events import Batch, StoredEvent
from service.stores.identities import IdentityStore
from service.stores.opening import open_event_store
from service.stores.person_reads import Unit, read_person
from service.stores.rollup import open_rollup
from tests.unit.service.intake.samples import slate, view

Commit = Callable[..., EventLog]


@pytest.fixture
def commit(event_log: EventLog) -> Commit:
    path = event_log

    def write(exposures: Sequence[Exposure] = (), events: Sequence[StoredEvent] = ()) -> EventLog:
        store = open_event_store(path, opened_ms=1)
        store.commit(Batch(events, exposures))
        store.close(2)
        return path

    return write


def test_user_has_their_own_devices_events(commit: Commit) -> None:
    """What a device did before its user signed in is theirs; what a shared one did is not."""
    path = commit(
        events=[
            view("e1", user_key=None, anonymous_key="phone", at_ms=1),
            view("e2", user_key="u", anonymous_key="phone", at_ms=2),
            view("e3", user_key="u", anonymous_key="tablet", at_ms=3),
            view("e4", user_key="w", anonymous_key="tablet", at_ms=4),
            view("e5", user_key=None, anonymous_key="tablet", at_ms=5),
        ]
    )
    found = read_person(path, "user_id", "u", 9)
    assert found.visitors == ["phone"]
    assert [event.at_ms for event in found.events] == [3, 2, 1]
    tablet = read_person(path, "anonymous_id", "tablet", 9)
    assert [event.at_ms for event in tablet.events] == [5, 4, 3]


def test_event_says_whether_the_server_told_of_it(commit: Commit) -> None:
    """Whatever else is flagged."""
    flags = [EventFlag.LATE, EventFlag.BY_SERVER | EventFlag.LATE]
    path = commit(events=[view(f"e{at}", at_ms=at, flags=int(flags[at])) for at in (0, 1)])
    found = read_person(path, "user_id", "u", 9).events
    assert [(event.at_ms, bool(event.by_server)) for event in found] == [(1, True), (0, False)]


def test_future_event_counts_as_of_its_arrival(commit: Commit) -> None:
    """A clock ahead does not make an event the newest for ever."""
    path = commit(events=[view("e1", at_ms=900, received_ms=5), view("e2", at_ms=6, received_ms=6)])
    assert [event.at_ms for event in read_person(path, "user_id", "u", 9).events] == [6, 5]


def test_exposures_are_those_of_every_unit_that_was_dealt(commit: Commit, tmp_path: Path) -> None:
    """A user dealt as the visitor they once were has the visitor's exposures, the newest first.

    Of three, two were asked for.
    """
    path = commit(
        [
            slate("x1", unit_kind="anonymous_id", unit_key="v", user_key=None, anonymous_key="v"),
            slate("x2", at_ms=2_000),
            slate("x3", at_ms=3_000, unit_key="someone", user_key="someone"),
            slate("x4", at_ms=4_000, unit_kind="anonymous_id", unit_key="v", anonymous_key="v"),
        ]
    )
    identities = IdentityStore(path)
    identities._connection.execute(
        "INSERT INTO identities (user_key, unit_kind, unit_key, at_ms) VALUES (?, ?, ?, ?)",
        ("u", "anonymous_id", "v", 1),
    )
    identities.close()
    found = read_person(path, "user_id", "u", 2)
    assert found.unit == Unit("anonymous_id", "v")
    assert [one.exposure_id for one in found.exposures] == ["x4", "x2"]


def test_pages_alone_tell_of_devices_and_days(commit: Commit) -> None:
    """Who did nothing was here all the same: on the phone, at 2,000 and 4,000 ms, with 3 slates.

    The tablet is also somebody's who is dealt apart; and as the visitor of the phone, 1 slate.
    """
    path = commit(
        [
            slate("x1", at_ms=3_000, anonymous_key="tablet"),
            slate("x2", at_ms=4_000, anonymous_key="phone"),
            slate("x3", at_ms=5_000, unit_key="w", user_key="w", anonymous_key="tablet"),
            slate(
                "x4",
                at_ms=2_000,
                unit_kind="anonymous_id",
                unit_key="phone",
                user_key=None,
                anonymous_key="phone",
            ),
        ]
    )
    store = IdentityStore(path)
    store._connection.execute(
        "INSERT INTO unit_links (unit_key, other_kind, other_key, at_ms) VALUES (?, ?, ?, ?)",
        ("tablet", "user_id", "w", 1),
    )
    store.close()
    found = read_person(path, "user_id", "u", 9)
    assert found.visitors == ["phone"]
    assert found.slates == (3, 2_000, 4_000)
    assert read_person(path, "anonymous_id", "phone", 9).slates == (1, 2_000, 2_000)


def test_stages_come_from_the_running_sums(commit: Commit) -> None:
    """A grade names its exposure and has no item; where nothing is summed up, none is known."""
    grade = view("e1", kind=16, item_id=None, exposure_id="x1")
    path = commit([slate("x1")], [grade])
    assert read_person(path, "user_id", "u", 9).reached == {}
    open_rollup(path).close()
    assert list(read_person(path, "user_id", "u", 9).reached.values()) == [{16}]


def test_stranger_has_nothing(commit: Commit) -> None:
    """Empty lists, no slate and no unit."""
    found = read_person(commit([slate("x1")], [view("e1")]), "user_id", "nobody", 9)
    assert found == ([], None, [], [], [], (0, None, None), {})


@pytest.mark.parametrize("event_url", ["sqlite"], indirect=True)
def test_nothing_is_scanned(commit: Commit) -> None:
    """Every statement searches by index: a log of ten million rows costs what one of ten does."""
    connection = connect(commit([slate("x1")], [view("e1")]), read_only=True)
    statements = [
        (person_reads._EVENTS.format(column="user_key"), ("u", 9)),
        (person_reads._EVENTS.format(column="anonymous_key"), ("u", 9)),
        (person_reads._VISITORS, ("u", 9, 9)),
        (person_reads._SEEN_ON.format(marks="?, ?"), ("u", "v", "u", 9)),
        (person_reads._SLATES.format(marks="?, ?"), ("u", "v")),
        (person_reads._IS_SHARED, {"visitor": "v", "key": "u"}),
        (person_reads._UNIT, ("u",)),
        (person_reads._OTHERS, ("u",)),
        (person_reads._EXPOSURES.format(marks="?, ?"), ("u", "v", 9)),
    ]
    for statement, values in statements:
        assert _scans(connection, statement, values) == [], statement
    connection.close()


def _scans(connection: Database, statement: str, values: object) -> list[str]:
    plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)  # type: ignore[arg-type]  # a tuple or a dictionary
    tables = ("events", "exposures", "identities", "unit_links")
    return [step for *_, step in plan if step.startswith("SCAN ") and step.split()[1] in tables]
