"""What is bought by the name of an exposure is its unit's, whoever did it and when."""

from collections.abc import Callable
from pathlib import Path

import pytest

from service.exposure import Exposure
from service.reports.arms import Arm
from service.reports.epochs import Opened
from service.reports.gather import report_epochs
from service.reports.report import Report
from service.rollouts.definition import Rollout
from service.stores.event_database import connect, connect_derived
from service.stores.event_log import ROLLUP, EventLog
from service.stores.event_schema import EventFlag
from service.stores.events import Batch, StoredEvent
from service.stores.opening import open_event_store
from service.stores.outcomes import read_outcomes
from service.stores.personal_rows import delete_rows
from service.stores.retention import expire_rows
from service.stores.rollup import add_new, open_rollup
from service.stores.rollup_erasing import erase_units
from tests.unit.service.intake.samples import slate

HALF = Opened(at_ms=0, rollout=Rollout(key="r", share=0.5))
AT_MS = 10_000
"""When things are shown; what is done is done a second later."""
CART, PURCHASE, REFUND = 2, 3, 4

Store = Callable[..., None]


@pytest.fixture
def store(event_log: EventLog) -> Store:
    def commit(*rows: Exposure | StoredEvent) -> None:
        writer = open_event_store(event_log, opened_ms=1)
        events = [row for row in rows if isinstance(row, StoredEvent)]
        writer.commit(Batch(events, [row for row in rows if isinstance(row, Exposure)]))
        writer.close(2)

    return commit


def shown(exposure_id: str, unit: str, variant: str = "control", **fields: object) -> Exposure:
    values: dict[str, object] = {"unit_key": unit, "user_key": unit, "at_ms": AT_MS}
    return slate(exposure_id, variant=variant, **(values | fields))


def did(event_id: str, kind: int, **fields: object) -> StoredEvent:
    """Let nobody do something with item p1 for 3.0."""
    row = StoredEvent(event_id, kind, AT_MS + 1_000, AT_MS + 1_000, item_id="p1", price=3.0)
    arrived = {"received_ms": fields.get("at_ms", row.received_ms)}
    return row._replace(**(arrived | fields))  # type: ignore[arg-type]  # one dict for every field


def report(log: EventLog) -> Report:
    return report_epochs(log, "r", {1: HALF, 2: HALF}, at_ms=9)


def arm(log: EventLog, variant: str = "control") -> Arm:
    return next(arm for arm in report(log).arms if arm.variant == variant)


def links(arm: Arm) -> tuple[int, int, int, int]:
    return arm.carts_named, arm.carts_joined, arm.purchases_named, arm.purchases_joined


def test_order_without_ids_is_its_exposures(store: Store, event_log: EventLog) -> None:
    """A shop's webhook knows the exposure and no person: carts, orders and refunds are the unit's.

    Unit a buys for 3 and 5 and gives 2 back; b, of the other arm, has a cart and buys nothing.
    """
    store(
        shown("x1", "a"),
        shown("x2", "b", "personal"),
        did("e1", PURCHASE, exposure_id="x1", order_id="o1"),
        did("e2", PURCHASE, exposure_id="x1", order_id="o1", price=5.0),
        did("e3", REFUND, exposure_id="x1", price=2.0),
        did("e4", CART, exposure_id="x2"),
    )
    control, personal = arm(event_log), arm(event_log, "personal")
    assert (control.buyers, control.orders, control.purchases, control.revenue) == (1, 1, 2, 6.0)
    assert (personal.carters, personal.buyers, personal.revenue) == (1, 0, 0.0)
    assert (links(control), links(personal)) == ((0, 0, 2, 0), (1, 0, 0, 0))


def test_clock_that_is_behind_loses_no_buyer(store: Store, event_log: EventLog) -> None:
    """Two minutes before what it names, a purchase is of after it, and nobody's past."""
    early = {"at_ms": 80_000, "user_key": "a", "exposure_id": "x1"}
    store(shown("x1", "a", at_ms=200_000), did("e1", PURCHASE, **early), did("e2", CART, **early))
    [sums] = read_outcomes(event_log, "r").arms
    assert (sums.n_buyers, sums.n_carters, sums.revenue) == (1, 1, 3.0)
    assert (sums.n_bought_before, sums.before, sums.sum_before_capped) == (0, 0.0, 0.0)
    store(did("e3", PURCHASE, at_ms=90_000, user_key="a", price=2.0))
    [sums] = read_outcomes(event_log, "r").arms
    assert (sums.n_buyers, sums.revenue, sums.n_bought_before, sums.n_bought_twice) == (
        1,
        3.0,
        1,
        1,
    )
    assert (sums.before, sums.n_purchases_named, sums.n_purchases_joined) == (2.0, 1, 0)


def test_name_goes_before_ids_and_time(store: Store, event_log: EventLog) -> None:
    """A gift that b pays is a's, who was shown it, and of the epoch in which a was."""
    store(
        shown("x1", "a"),
        shown("x2", "a", "personal", epoch=2, at_ms=AT_MS + 500),
        shown("x3", "b", "personal", epoch=2),
        did("e1", PURCHASE, exposure_id="x1", user_key="b"),
        did("e2", PURCHASE, exposure_id="x2", user_key="b", price=4.0),
    )
    found = {(each.epoch, each.variant): each for each in read_outcomes(event_log, "r").arms}
    assert {place: each.revenue for place, each in found.items()} == {
        (1, "control"): 3.0,
        (2, "personal"): 4.0,
    }
    assert found[2, "personal"].n_buyers == 1


def test_unit_of_two_variants_has_what_it_names_in_its_first(
    store: Store, event_log: EventLog
) -> None:
    """The arm is the unit's, though the exposure that is named was of another variant."""
    store(
        shown("x1", "a"),
        shown("x2", "a", "personal", at_ms=AT_MS + 500),
        did("e1", PURCHASE, exposure_id="x2"),
    )
    assert [(each.variant, each.revenue) for each in report(event_log).arms] == [("control", 3.0)]


@pytest.mark.parametrize("named", ["other", "forced", "nobody", "never"])
def test_other_names_fall_back_to_unit_and_time(
    store: Store, event_log: EventLog, named: str
) -> None:
    """What is of another rollout, of no split, of nobody or unknown says nothing.

    Then a's order after its exposure counts, the one before is its past, and one without ids is
    nobody's.
    """
    store(
        shown("x1", "a"),
        shown("other", "b", rollout_key="other"),
        shown("forced", "b", reason="TARGETING_MATCH"),
        shown("nobody", "b", unit_key=None),
        did("e1", PURCHASE, exposure_id=named, user_key="a"),
        did("e2", PURCHASE, exposure_id=named, user_key="a", at_ms=AT_MS - 1, price=2.0),
        did("e3", PURCHASE, exposure_id=named, price=7.0),
    )
    [sums] = read_outcomes(event_log, "r").arms
    assert (sums.n_buyers, sums.revenue, sums.before) == (1, 3.0, 2.0)
    assert (sums.n_purchases_named, sums.n_purchases_joined) == (0, 1)


def test_order_that_names_another_rollouts_exposure_is_that_ones(
    store: Store, event_log: EventLog
) -> None:
    """It is named there and joined here."""
    store(
        shown("x1", "a"),
        shown("x2", "a", rollout_key="s"),
        did("e1", PURCHASE, exposure_id="x2", user_key="a"),
    )
    [here], [there] = (read_outcomes(event_log, key).arms for key in ("r", "s"))
    assert (here.n_purchases_named, here.n_purchases_joined, here.revenue) == (0, 1, 3.0)
    assert (there.n_purchases_named, there.n_purchases_joined, there.revenue) == (1, 0, 3.0)


def test_order_before_its_exposure_waits_for_it(store: Store, event_log: EventLog) -> None:
    """Another worker has yet to store the page; once it is there, the order is its unit's."""
    store(shown("x1", "a"), did("e1", PURCHASE, exposure_id="x2"))
    sums = open_rollup(event_log, max_new=0)
    add_new(sums, 1_000, now_ms=AT_MS + 2_000)
    store(shown("x2", "b", "personal"))
    add_new(sums, 1_000, now_ms=AT_MS + 2_000)
    sums.close()
    assert [(each.variant, each.buyers) for each in report(event_log).arms] == [
        ("control", 0),
        ("personal", 1),
    ]


@pytest.mark.parametrize("n_rows", [1, 2, 1_000])
def test_order_is_its_exposures_in_steps_of_any_length(
    store: Store, event_log: EventLog, n_rows: int
) -> None:
    """In one commit, or a row at a time: events follow what was shown."""
    store(
        did("e1", PURCHASE, exposure_id="x3"),
        did("e2", CART, exposure_id="x1"),
        *(shown(f"x{i}", f"u{i}") for i in range(4)),
    )
    sums = open_rollup(event_log, max_new=0)
    while add_new(sums, n_rows, now_ms=AT_MS):
        pass
    sums.close()
    control = arm(event_log)
    assert (control.units, control.carters, control.buyers) == (4, 1, 1)


def test_without_consent_nobody_gets_an_order(store: Store, event_log: EventLog) -> None:
    """What was done with an exposure counts; no row says who did it."""
    refused = {"exposure_id": "x1", "flags": int(EventFlag.NO_CONSENT)}
    store(shown("x1", "a"), did("e1", PURCHASE, **refused))
    found = report(event_log)
    assert [each.buyers for each in found.arms] == [0]
    steps = {step.stage: step.exposures for step in found.funnels[0].steps}
    assert steps["purchase"] == 1
    assert rows_of_deeds(event_log) == []


def rows_of_deeds(log: EventLog) -> list[tuple[object, ...]]:
    """Read what is kept: who did it, and whether it says what it names."""
    sums = connect_derived(log, ROLLUP, busy_timeout_ms=1_000)
    try:
        return sums.execute(
            "SELECT seq, keys.key, place IS NOT NULL AND rollout IS NOT NULL, "
            "place IS NULL AND rollout IS NULL "
            "FROM deeds LEFT JOIN keys ON keys.id = deeds.user ORDER BY seq"
        ).fetchall()
    finally:
        sums.close()


def test_erased_unit_takes_what_names_it(store: Store, event_log: EventLog) -> None:
    """Orders without ids go with the unit whose exposure they name; b's stay b's, by the time."""
    store(
        shown("x1", "a"),
        shown("x2", "b", "personal"),
        did("e1", PURCHASE, exposure_id="x1"),
        did("e2", PURCHASE, exposure_id="x1", user_key="b", price=5.0),
        did("e3", PURCHASE, exposure_id="x2", user_key="a", price=7.0),
        did("e4", PURCHASE, exposure_id="x2", price=11.0),
    )
    assert [each.revenue for each in report(event_log).arms] == [8.0, 18.0]
    delete_rows(event_log, ["a"])
    erase_units(event_log, ["a"])
    assert rows_of_deeds(event_log) == [(2, "b", False, True), (4, None, True, False)]
    after = read_outcomes(event_log, "r")
    assert [(each.variant, each.revenue) for each in after.arms] == [("personal", 16.0)]
    assert (after.arms[0].n_purchases_named, after.arms[0].n_purchases_joined) == (1, 1)
    assert erase_units(event_log, ["a"]) == 0


def test_order_that_expires_is_forgotten(store: Store, event_log: EventLog) -> None:
    """Also where no id of a person says whose it was."""
    store(shown("x1", "a"), did("e1", PURCHASE, exposure_id="x1"))
    assert arm(event_log).buyers == 1
    expire_rows(event_log, {"purchase": 1}, now_ms=AT_MS + 3 * 86_400_000)
    assert rows_of_deeds(event_log) == []
    assert arm(event_log).buyers == 0


@pytest.mark.parametrize("event_url", ["sqlite"], indirect=True)
def test_sums_of_the_version_before_learn_what_was_named(store: Store, event_log: Path) -> None:
    """Orders are read again; sums of exposures stay, though the log has lost some since."""
    store(shown("x1", "a"), shown("x2", "b"), did("e1", PURCHASE, exposure_id="x1"))
    before = read_outcomes(event_log, "r")
    sums = connect_derived(event_log, ROLLUP, busy_timeout_ms=1_000)
    sums.execute("DROP TABLE deeds")
    sums.execute(
        "CREATE TABLE deeds (seq INTEGER PRIMARY KEY, kind INTEGER NOT NULL, "
        'at_ms INTEGER NOT NULL, value REAL NOT NULL, order_id TEXT, "user" INTEGER, '
        "anonymous INTEGER)"
    )
    sums.execute("DELETE FROM progress WHERE name = 'deeds'")
    sums.execute("ALTER TABLE orders DROP COLUMN by_server")
    sums.execute("PRAGMA user_version = 6")
    sums.close()
    log = connect(event_log)
    log.execute("DELETE FROM exposures WHERE unit_key = 'b'")
    log.close()
    waiting = read_outcomes(event_log, "r", max_new=0)
    assert (waiting.n_waiting, waiting.arms[0].n_buyers) == (1, 0)
    assert read_outcomes(event_log, "r") == before
    assert before.arms[0].n_buyers == 1
