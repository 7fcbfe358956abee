"""The running sums say the same whenever they were added up: in parts while it came, or at once."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from service.exposure import Exposure
from service.stores.days import read_days
from service.stores.event_database import connect, connect_derived
from service.stores.event_log import ROLLUP, EventLog, PostgresLog
from service.stores.event_schema import EventFlag
from service.stores.events import Batch, StoredEvent
from service.stores.opening import open_event_store
from service.stores.outcomes import read_outcomes
from service.stores.rollup import ROLLUP_FILE, add_new, count_waiting, open_rollup
from service.stores.rollup_devices import NEVER
from tests.unit.service.intake.samples import slate

PEOPLE, DEVICES = "abcdefghijkl", "tuvwxyz"
BY_SERVER, NO_CONSENT = int(EventFlag.BY_SERVER), int(EventFlag.NO_CONSENT)
MINUTE_MS = 60_000


class Identity(NamedTuple):
    """A user who is dealt as the visitor that they were first seen as."""

    user_key: str
    unit_key: str
    at_ms: int


Row = Exposure | StoredEvent | Identity
Store = Callable[..., None]


@pytest.fixture
def store(event_log: EventLog) -> Iterator[Store]:
    writer = open_event_store(event_log, opened_ms=1)

    def commit(*rows: Row) -> None:
        identities = connect(event_log)
        for row in rows:
            if isinstance(row, Identity):
                identities.execute(
                    "INSERT INTO identities (user_key, unit_kind, unit_key, at_ms) "
                    "VALUES (?, 'anonymous_id', ?, ?) ON CONFLICT DO NOTHING",
                    row,
                )
        identities.close()
        events = [row for row in rows if isinstance(row, StoredEvent)]
        writer.commit(Batch(events, [row for row in rows if isinstance(row, Exposure)]))

    yield commit
    writer.close(2)


def did(event_id: str, kind: int, at_ms: int, user: str | None, **fields: object) -> StoredEvent:
    row = StoredEvent(event_id, kind, at_ms, at_ms, user, item_id="p1", price=3.0)
    return row._replace(**fields)  # type: ignore[arg-type]  # one dict for every field


def shown(exposure_id: str, at_ms: int, unit: str, **fields: object) -> Exposure:
    values: dict[str, object] = {"at_ms": at_ms, "unit_key": unit, "user_key": unit}
    return slate(exposure_id, **(values | fields))


def told(log: EventLog) -> tuple[object, ...]:
    """Read all that reports and insights say, and whose the orders of a day are."""
    sums = [
        read_outcomes(log, rollout, find_ends=lambda _: {1: 9**15, 2: 9**15}) for rollout in "rs"
    ]
    assert all(each.n_waiting == 0 for each in sums)
    days = read_days(log, 0, 99)
    # Which row of a day comes first is not said.
    with closing(open_rollup(log, max_new=0)) as derived:
        orders = derived.execute("SELECT order_key, person_key, channel FROM orders").fetchall()
    return (
        *sums,
        sorted(orders),
        days._replace(stages=sorted(days.stages), events=sorted(days.events)),
    )


def anew(log: EventLog) -> tuple[object, ...]:
    """Read the same of sums that are added up at once."""
    if isinstance(log, PostgresLog):
        connection = connect(log)
        connection.execute("DROP SCHEMA IF EXISTS rollup CASCADE")
        connection.close()
    else:
        log.with_name(ROLLUP_FILE).unlink()
    return told(log)


def happenings(rng: np.random.Generator, n: int) -> Iterator[list[Row]]:
    """Make what shoppers do, as it comes: on shared devices, signed in and not, each ms its own.

    Lines of an order may name different people, or none, at the same moment.
    """
    pages = ["never"]
    for i in range(1, n + 1):
        at_ms = i * 7 * MINUTE_MS
        user = PEOPLE[rng.integers(len(PEOPLE))] if rng.random() < 0.6 else None
        device = DEVICES[rng.integers(len(DEVICES))] if user is None or rng.random() < 0.5 else None
        ids = {"user_key": user, "anonymous_key": device}
        what = rng.random()
        if what < 0.4:
            pages.append(f"x{i}")
            # As in service: who is dealt as what does not change between.
            place = {"rollout_key": "rs"[rng.integers(2)], "epoch": 1 + 2 * i // n % 2}
            variant = ("personal", "control")[ord(user or device or "") % 2]
            yield [shown(f"x{i}", at_ms, user or device or "", variant=variant, **ids, **place)]
        elif what < 0.45 and user is not None and device is not None:
            yield [Identity(user, device, at_ms)]
        else:
            lines: list[Row] = []
            for k in range(rng.integers(1, 4)):
                who = {name: key for name, key in ids.items() if rng.random() < 0.8}
                row = did(f"e{i}-{k}", int(rng.integers(1, 5)), at_ms, None, **who)
                if rng.random() < 0.3:
                    row = row._replace(exposure_id=pages[rng.integers(len(pages))])
                if row.kind >= 3 and rng.random() < 0.8:
                    other = PEOPLE[rng.integers(len(PEOPLE))]
                    row = row._replace(
                        order_id=f"o{i // 4}",
                        user_key=other if rng.random() < 0.4 else row.user_key,
                        channel=(None, "app", "web")[rng.integers(3)],
                        flags=(0, 0, BY_SERVER, NO_CONSENT)[rng.integers(4)],
                    )
                lines.append(row)
            yield lines


@pytest.mark.parametrize(
    ("event_url", "seed"),
    [*(("sqlite", seed) for seed in range(6)), ("postgres", 0), ("postgres", 1)],
    indirect=["event_url"],
)
def test_sums_in_random_parts_are_those_of_one_go(
    event_log: EventLog, store: Store, seed: int
) -> None:
    """Steps of any length, at any moment while 150 things happen, come to what one step does."""
    rng = np.random.default_rng(seed)
    share = (0.03, 0.1, 0.3)[seed % 3]
    sums = open_rollup(event_log, max_new=0)
    for rows in happenings(rng, 150):
        store(*rows)
        if rng.random() < share:
            add_new(sums, int(rng.choice([2, 50, 1_000])))
    sums.close()
    by_parts = told(event_log)
    for one, other in zip(by_parts, anew(event_log), strict=True):
        assert one == other


def test_order_of_two_units_in_one_ms_has_one_place(event_log: EventLog, store: Store) -> None:
    """What was seen of b before a was seen at all does not make the order b's.

    Units have numbers in the order in which the sums met them, and these are no reason.
    """
    pages = [
        shown("x1", 1_000, "a", variant="control"),
        shown("x2", 1_000, "b", variant="personal"),
    ]
    for late in (False, True):
        if late:
            anew(event_log)
        else:
            store(did("e0", 0, 900, "b"))
            read_outcomes(event_log, "r")
            store(*pages, *(did(f"e{who}", 3, 2_000, who, order_id="o1") for who in "ab"))
        arms = read_outcomes(event_log, "r").arms
        assert [(arm.variant, arm.n_orders, arm.revenue) for arm in arms] == [
            ("control", 1, 6.0),
            ("personal", 0, 0.0),
        ]


def test_click_of_somebody_known_later_stays_nobodys(event_log: EventLog, store: Store) -> None:
    """Visitor v's page is not user u's while nobody knows that they are one; afterwards it is."""
    page = {"unit_kind": "anonymous_id", "user_key": None, "anonymous_key": "v"}
    store(shown("x", 1_000, "v", **page), did("e1", 1, 2_000, "u"))
    store(Identity("u", "v", 3_000), did("e2", 1, 3_000, "u"))
    for read in (told, anew):
        sums = read(event_log)[0]
        assert sums.arms[0].n_clicks_joined == 1  # type: ignore[attr-defined]  # told of anything


def test_device_is_its_only_units_until_another_one_comes(
    event_log: EventLog, store: Store
) -> None:
    """Of four clicks with device v alone one came while it was a's: none before, none with b."""

    def click(at_ms: int) -> StoredEvent:
        return did(f"e{at_ms}", 1, at_ms, None, anonymous_key="v")

    store(shown("x0", 500, "a"), click(900))
    for n, unit in enumerate("aba", 1):
        store(shown(f"x{n}", 1_000 * n, unit, anonymous_key="v"), click(1_000 * n + 500))
        read_outcomes(event_log, "r")
    for read in (told, anew):
        sums = read(event_log)[0]
        assert sums.arms[0].n_clicks_joined == 1  # type: ignore[attr-defined]  # told of anything


def test_exposure_that_is_stored_late_after_a_stall_is_waited_for(
    event_log: EventLog, store: Store
) -> None:
    """A click was received ten seconds before anybody could store it, and before its page.

    It waits until it has been there for two seconds. One that names what never comes does no more.
    """
    store(shown("x1", 1_000, "a"))
    sums = open_rollup(event_log, max_new=0)
    add_new(sums, 100, now_ms=100_000)
    store(did("e1", 1, 100_500, "b", exposure_id="x2"))
    add_new(sums, 100, now_ms=110_000)
    assert count_waiting(sums) == 1
    store(shown("x2", 100_000, "b"))
    add_new(sums, 100, now_ms=110_400)
    assert count_waiting(sums) == 0
    store(did("e2", 1, 105_000, "a", exposure_id="never"))
    for now_ms, n_waiting in ((120_000, 1), (121_999, 1), (122_000, 0)):
        add_new(sums, 100, now_ms=now_ms)
        assert count_waiting(sums) == n_waiting
    sums.close()
    [arm] = read_outcomes(event_log, "r").arms
    assert (arm.n_clicks_named, arm.n_clicks_joined) == (1, 1)


@pytest.mark.parametrize("event_url", ["sqlite"], indirect=True)
def test_sums_of_version_9_keep_devices_and_orders(store: Store, event_log: Path) -> None:
    """Nothing is added up again: v is a's, w nobody's, and the order's buyer the server's."""
    store(shown("x1", 1_000, "a", anonymous_key="v"), shown("x2", 2_000, "a", anonymous_key="w"))
    store(shown("x3", 3_000, "b", anonymous_key="w"))
    store(did("e1", 3, 4_000, "a", order_id="o1", flags=BY_SERVER))
    read_outcomes(event_log, "r")
    sums = connect_derived(event_log, ROLLUP, busy_timeout_ms=1_000)
    for statement in (
        "CREATE TABLE old (device INTEGER PRIMARY KEY, unit INTEGER)",
        f"INSERT INTO old SELECT device, iif(until_ms = {NEVER}, unit, NULL) FROM devices",
        "DROP TABLE devices",
        "ALTER TABLE old RENAME TO devices",
        "UPDATE orders SET by_server = 1",
        "UPDATE shown SET n = n + 1",
        "PRAGMA user_version = 9",
    ):
        sums.execute(statement)
    sums.close()
    store(did("e2", 3, 5_000, "b", order_id="o1"))
    clicks = [did(f"e{key}", 1, 5_000, None, anonymous_key=key) for key in "vw"]
    store(*clicks, shown("x4", 6_000, "c", anonymous_key="w"))
    after = read_outcomes(event_log, "r")
    assert after.n_shown["control"]["p1"] == 3 + 1 + 1
    assert after.arms[0].n_clicks_joined == 1
    with closing(open_rollup(event_log, max_new=0)) as kept:
        assert kept.execute("SELECT person_key FROM orders").fetchall() == [("a",)]
