"""An order that a browser and the shop's server both tell of counts once, whoever comes first."""

from collections.abc import Callable
from pathlib import Path
from random import Random

import polars as pl
import pytest

from service.exposure import Exposure
from service.stores.archiving import archive_old_days
from service.stores.days import read_days
from service.stores.event_database import connect_derived
from service.stores.event_export import export_interactions
from service.stores.event_ledger import reconcile
from service.stores.event_log import ROLLUP, EventLog
from service.stores.event_schema import EventFlag
from service.stores.events import Batch, StoredEvent
from service.stores.opening import open_event_store
from service.stores.outcomes import read_outcomes
from service.stores.rollup_days import DAY_MS
from tests.unit.service.intake.samples import slate

AT_MS = 20 * DAY_MS
PURCHASE, REFUND = 3, 4
NOBODY: dict[str, object] = {"user_key": None}

Store = Callable[..., None]


@pytest.fixture
def store(event_log: EventLog) -> Store:
    def commit(*rows: Exposure | StoredEvent) -> None:
        events = [row for row in rows if isinstance(row, StoredEvent)]
        shown = [row for row in rows if isinstance(row, Exposure)]
        n_shown = len(shown)
        writer = open_event_store(event_log, opened_ms=1)
        counts = {"received": len(events), "served": n_shown, "assigned": n_shown}
        writer.commit(Batch(events, shown, counts))  # type: ignore[arg-type]  # names of counters
        writer.close(2)

    return commit


def shown(
    exposure_id: str, unit: str, variant: str = "control", world: str = "", later_ms: int = 0
) -> Exposure:
    unit, place = f"{world}{unit}", {"rollout_key": f"{world}r", "variant": variant}
    where = {"at_ms": AT_MS + later_ms, "unit_key": unit, "user_key": unit}
    return slate(f"{world}{exposure_id}", **place, **where)


def browser(event_id: str, order_id: str | None, price: float, **fields: object) -> StoredEvent:
    """Let user a buy one p1, as their page says an hour after what was shown."""
    at_ms = AT_MS + 3_600_000
    row = StoredEvent(event_id, PURCHASE, at_ms, at_ms, user_key="a", item_id="p1")
    row = row._replace(quantity=1.0, price=price, order_id=order_id)
    return row._replace(**fields)  # type: ignore[arg-type]  # one dict for every field


def server(event_id: str, order_id: str | None, price: float, **fields: object) -> StoredEvent:
    """Let the shop's server say that somebody bought one p1."""
    by_server = {"flags": int(EventFlag.BY_SERVER)}
    return browser(event_id, order_id, price, **(NOBODY | by_server | fields))


def elsewhere(row: StoredEvent, world: str, later_ms: int) -> StoredEvent:
    """Let the same happen to others, some days later."""

    def other(name: str | None) -> str | None:
        return None if name is None else f"{world}{name}"

    return row._replace(
        event_id=f"{world}{row.event_id}",
        order_id=other(row.order_id),
        user_key=other(row.user_key),
        exposure_id=other(row.exposure_id),
        at_ms=row.at_ms + later_ms,
        received_ms=row.received_ms + 6 * DAY_MS + later_ms,
    )


def arms(log: EventLog) -> dict[str, tuple[int, int, float]]:
    """Return orders, lines and revenue by variant."""
    return {
        each.variant: (each.n_orders, each.n_purchases, each.revenue)
        for each in read_outcomes(log, "r").arms
    }


def by_day(log: EventLog) -> tuple[int, float, float]:
    """Return orders, units and value of all days."""
    orders = read_days(log, 0, 99).orders
    return (
        sum(each.n for each in orders),
        sum(each.n_units for each in orders),
        round(sum(each.value for each in orders), 6),
    )


def exported(log: EventLog, folder: Path) -> list[tuple[str, str, float]]:
    """Return who bought for what in which order, as the trainer reads it."""
    export_interactions(log, folder / "log.parquet")
    rows = pl.read_parquet(folder / "log.parquet").filter(pl.col("event") == "purchase")
    return sorted(rows.select("order_id", "user_key", "price").rows())


def test_orders_count_once_in_whatever_order_they_arrive(
    store: Store, event_log: EventLog, tmp_path: Path
) -> None:
    """Six orders, shuffled and committed in parts, with all sums read in between.

    o1 of a: two lines that name what was seen, of the server two for 7.5 that name nobody, 2 back.
    o2: of a browser alone. o3: of the server alone. o4: a page that was loaded twice, and 1.0 of
    the server. o5: before a was shown anything, for 2.0 by the server. A line without a number.
    """
    b: dict[str, object] = {"user_key": "b"}
    early: dict[str, object] = {"at_ms": AT_MS - DAY_MS}
    rows = [
        browser("1", "o1", 3.0, exposure_id="x1", channel="web"),
        browser("2", "o1", 5.0, exposure_id="x1", item_id="p2", channel="web"),
        server("3", "o1", 2.5),
        server("4", "o1", 5.0, item_id="p2", at_ms=AT_MS + 5 * DAY_MS),
        server("5", "o1", 2.0, kind=REFUND, flags=0),
        browser("6", "o2", 4.0, **b),
        server("7", "o3", 6.0, **b),
        browser("8", "o4", 1.0, **b),
        browser("9", "o4", 1.0, **b),
        server("10", "o4", 1.0, **b),
        browser("11", "o5", 3.0, **early),
        server("12", "o5", 2.0, **early),
        server("13", None, 0.5),
    ]
    said = [
        ("o1", "a", 2.5), ("o1", "a", 5.0), ("o2", "b", 4.0), ("o3", "b", 6.0), ("o4", "b", 1.0),
        ("o5", "a", 2.0),
    ]  # fmt: skip
    rng = Random(7)
    for world in range(4):
        # Each in other units, orders, items and days than the one before.
        name, days = f"{world}-", 100 * world * DAY_MS
        fresh = [elsewhere(row, name, days) for row in rows]
        store(shown("x1", "a", "control", name, days), shown("x2", "b", "personal", name, days))
        rng.shuffle(fresh)
        while fresh:
            n = rng.randint(1, len(fresh))
            store(*fresh[:n])
            fresh = fresh[n:]
            if rng.random() < 0.7:
                read_outcomes(event_log, f"{name}r")
        found = {each.variant: each for each in read_outcomes(event_log, f"{name}r").arms}
        control, personal = found["control"], found["personal"]
        assert (control.n_orders, control.n_purchases, control.revenue) == (1, 2, 5.5)
        assert (control.n_purchases_named, control.before) == (2, 2.0)
        assert (personal.n_orders, personal.n_purchases, personal.revenue) == (3, 3, 11.0)
        days_of_world = read_days(event_log, 100 * world, 100 * world + 99)
        orders = days_of_world.orders
        assert (sum(each.n for each in orders), sum(each.n_units for each in orders)) == (6, 7.0)
        assert sum(each.value for each in orders) == 7.5 + 4.0 + 6.0 + 1.0 + 2.0 + 0.5
        assert days_of_world.buyers[:2] == (2, 2)
        assert {(each.channel, each.value) for each in orders if each.channel} == {("web", 7.5)}
    assert exported(event_log, tmp_path) == sorted(
        (f"{world}-{order}", f"{world}-{user}", price)
        for world in range(4)
        for order, user, price in said
    )
    assert reconcile(event_log).is_balanced


@pytest.mark.parametrize("first", [0, 1])
def test_server_decides_what_was_paid_and_a_browser_whose_it_is(
    store: Store, event_log: EventLog, tmp_path: Path, first: int
) -> None:
    """The page says 3.0 and what was seen; a webhook 2.5 and nobody; added up after each."""
    told = [browser("1", "o1", 3.0, exposure_id="x1"), server("2", "o1", 2.5)]
    store(shown("x1", "a"), told[first])
    arms(event_log)
    by_day(event_log)
    store(told[1 - first])
    assert arms(event_log) == {"control": (1, 1, 2.5)}
    assert by_day(event_log) == (1, 1.0, 2.5)
    assert exported(event_log, tmp_path) == [("o1", "a", 2.5)]


def test_person_whom_the_server_names_goes_before_a_browsers(
    store: Store, event_log: EventLog, tmp_path: Path
) -> None:
    """A page where c is signed in, of b's order; no line names what was seen."""
    store(
        shown("x1", "a"),
        shown("x2", "b", "personal"),
        browser("1", "o1", 3.0, at_ms=AT_MS + 1),
        server("2", "o1", 3.0, user_key="b"),
    )
    assert arms(event_log) == {"control": (0, 0, 0.0), "personal": (1, 1, 3.0)}
    assert exported(event_log, tmp_path) == [("o1", "b", 3.0)]


def test_line_of_a_crawler_or_a_preview_says_nothing_of_the_others(
    store: Store, event_log: EventLog, tmp_path: Path
) -> None:
    """A server's test order of the same number, and one of a robot."""
    odd = EventFlag.BY_SERVER | EventFlag.PREVIEW, EventFlag.BY_SERVER | EventFlag.BOT
    tests = [server(f"s{flags}", "o1", 9.0, flags=int(flags)) for flags in odd]
    store(shown("x1", "a"), browser("1", "o1", 3.0), *tests)
    assert (arms(event_log), by_day(event_log)) == ({"control": (1, 1, 3.0)}, (1, 1.0, 3.0))
    assert exported(event_log, tmp_path) == [("o1", "a", 3.0)]


@pytest.mark.parametrize("event_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("is_late", ["browser", "server"])
def test_archived_lines_and_those_of_today_are_one_order(
    store: Store, event_log: Path, tmp_path: Path, is_late: str
) -> None:
    """One is archived when the other comes; sums that are made anew say the same."""
    told = {"browser": browser("1", "o1", 3.0, exposure_id="x1"), "server": server("2", "o1", 2.5)}
    late = told.pop(is_late)
    store(shown("x1", "a"), *told.values())
    archive_old_days(event_log, 30, now_ms=60 * DAY_MS)
    store(late._replace(received_ms=60 * DAY_MS))
    for _ in range(2):
        assert arms(event_log) == {"control": (1, 1, 2.5)}
        assert by_day(event_log) == (1, 1.0, 2.5)
        assert exported(event_log, tmp_path) == [("o1", "a", 2.5)]
        (event_log.parent / "rollup.sqlite").unlink()
    assert reconcile(event_log).is_balanced


@pytest.mark.parametrize("event_url", ["sqlite"], indirect=True)
def test_sums_of_version_8_learn_who_told(
    store: Store, event_log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there stays, as told by a browser; the server's line that comes then decides.

    The archive is not put together for it.
    """
    monkeypatch.setattr("service.stores.rollup.make_replay", None)
    store(shown("x1", "a"), browser("1", "o1", 3.0), browser("2", "o2", 5.0))
    archive_old_days(event_log, 30, now_ms=60 * DAY_MS)
    before = arms(event_log), by_day(event_log)
    sums = connect_derived(event_log, ROLLUP, busy_timeout_ms=1_000)
    for table in ("deeds", "orders"):
        sums.execute(f"ALTER TABLE {table} DROP COLUMN by_server")
    sums.execute("UPDATE arms SET n_exposures = 7")
    sums.execute("PRAGMA user_version = 8")
    sums.close()
    assert (arms(event_log), by_day(event_log)) == before
    assert read_outcomes(event_log, "r").arms[0].n_exposures == 7, "nothing was added up again"
    store(server("3", "o1", 2.0))
    assert (arms(event_log), by_day(event_log)) == ({"control": (2, 2, 7.0)}, (2, 2.0, 7.0))
