"""Reports over a real store, with every number worked out by hand."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from scipy.special import stdtrit

from models.errors import NotFoundError
from models.vocabulary import Vocabulary
from service.exposure import Exposure
from service.reports.arms import Arm
from service.reports.epochs import Opened
from service.reports.gather import report_epochs
from service.reports.report import Report
from service.rollouts.definition import Rollout, Variant
from service.stores import outcomes, unit_money
from service.stores.attribution import DAY_MS, DEFAULT_DAYS
from service.stores.event_database import connect
from service.stores.event_log import EventLog, PostgresLog
from service.stores.event_schema import RENDERED, EventFlag
from service.stores.events import Batch, StoredEvent
from service.stores.opening import open_event_store
from service.stores.rollup import ROLLUP_FILE, open_rollup
from tests.unit.service.intake.samples import slate

HALF = Opened(at_ms=0, rollout=Rollout(key="r", share=0.5))

MakeReport = Callable[..., Report]


@pytest.fixture
def report(event_log: EventLog) -> MakeReport:
    path = event_log

    def make(
        exposures: Sequence[Exposure],
        events: Sequence[StoredEvent] = (),
        opened: dict[int, Opened] | None = None,
        catalogue: Vocabulary | None = None,
    ) -> Report:
        store = open_event_store(path, opened_ms=1)
        store.commit(Batch(events, exposures))
        store.close(2)
        epochs = {1: HALF} if opened is None else opened
        return report_epochs(path, "r", epochs, at_ms=9, catalogue=catalogue)

    return make


def shown(exposure_id: str, unit: str, variant: str = "control", **fields: object) -> Exposure:
    """Show items p1 and p2 to a unit at 1,000 ms."""
    return slate(exposure_id, unit_key=unit, user_key=unit, variant=variant, **fields)


def did(event_id: str, kind: int, unit: str, **fields: object) -> StoredEvent:
    """Let a unit do something with item p1 at 2,000 ms."""
    row = StoredEvent(event_id, kind, 2_000, 2_000, user_key=unit, item_id="p1")
    arrived = {"received_ms": fields.get("at_ms", row.received_ms)}
    return row._replace(**(arrived | fields))  # type: ignore[arg-type]  # one dict for every field


def arm(report: Report, variant: str) -> Arm:
    return next(arm for arm in report.arms if arm.variant == variant)


def test_counts_per_arm(report: MakeReport) -> None:
    """Control: 2 units, 3 exposures, 1 clicked twice. Treatment: 1 unit buys 11 and returns 4."""
    found = report(
        [
            shown("x1", "a"),
            shown("x2", "a"),
            shown("x3", "b"),
            shown("x4", "c", "personal"),
        ],
        [
            did("e1", 1, "a", exposure_id="x1"),
            did("e2", 1, "a", exposure_id="x1"),
            did("e3", 3, "c", quantity=2.0, price=5.0, order_id="o1"),
            did("e4", 3, "c", quantity=1.0, price=1.0, order_id="o1"),
            did("e5", 4, "c", quantity=1.0, price=4.0, order_id="o1"),
        ],
    )
    control, personal = arm(found, "control"), arm(found, "personal")
    assert (control.units, control.exposures, control.clicked_exposures) == (2, 3, 1)
    assert (control.clicks_named, control.clicks_joined) == (2, 0)
    assert control.click_through == pytest.approx(1 / 3)
    assert (control.buyers, control.revenue_per_unit) == (0, 0.0)
    assert (personal.units, personal.buyers, personal.orders, personal.purchases) == (1, 1, 1, 2)
    assert personal.revenue == 2 * 5 + 1 - 4
    assert [arm.variant for arm in found.arms] == ["control", "personal"]


def test_click_without_exposure_goes_to_the_last_one_of_its_item(report: MakeReport) -> None:
    """Of two slates with p1 the later one is clicked; p9 was on none, and a week is the limit."""
    found = report(
        [
            shown("x1", "a", at_ms=1_000),
            shown("x2", "a", at_ms=1_500),
            shown("x3", "b", at_ms=1_000),
            shown("x4", "c", at_ms=1_000, kind="banners"),
        ],
        [
            did("e1", 1, "a"),
            did("e2", 1, "a", exposure_id="x2"),
            did("e3", 1, "b", item_id="p9"),
            did("e4", 1, "b", at_ms=1_000 + DEFAULT_DAYS * DAY_MS + 1),
            did("e5", 1, "c"),
            did("e6", 1, "c", item_id=None, banner_id="p2"),
        ],
    )
    control = arm(found, "control")
    assert (control.clicks_named, control.clicks_joined) == (1, 2)
    assert control.clicked_exposures == 2


def test_last_exposure_of_another_rollout_takes_the_click(report: MakeReport) -> None:
    """The visitor saw p1 last in another rollout's slate, so this rollout has no click."""
    found = report(
        [shown("x1", "a"), shown("x2", "a", at_ms=1_500, rollout_key="other")], [did("e1", 1, "a")]
    )
    assert arm(found, "control").clicks_joined == 0


def test_what_a_unit_did_before_it_was_shown_anything_does_not_count(report: MakeReport) -> None:
    """A purchase before the first exposure, and one of a bot, are nobody's lift."""
    found = report(
        [shown("x1", "a")],
        [
            did("e1", 3, "a", at_ms=999, price=5.0),
            did("e2", 3, "a", price=7.0, flags=int(EventFlag.BOT)),
            did("e3", 3, "stranger", price=9.0),
        ],
    )
    assert arm(found, "control").revenue == 0


def test_purchase_counts_once_for_a_visitor_who_signed_in(report: MakeReport) -> None:
    """User and visitor are both units; an order with both keys is the user's."""
    found = report(
        [shown("x1", "a"), shown("x2", "v", "personal", unit_kind="anonymous_id")],
        [
            did("e1", 3, "a", anonymous_key="v", price=3.0),
            StoredEvent("e2", 3, 2_000, 2_000, anonymous_key="v", item_id="p1", price=2.0),
        ],
    )
    assert arm(found, "control").revenue == 3.0
    assert arm(found, "personal").revenue == 2.0


def test_epochs_are_strata(report: MakeReport) -> None:
    """A unit that moves from control to treatment counts in both; its order in the later epoch."""
    found = report(
        [
            shown("x1", "a", at_ms=1_000),
            shown("x2", "a", "personal", at_ms=3_000, epoch=2),
            shown("x3", "b", at_ms=3_000, epoch=2),
        ],
        [did("e1", 3, "a", at_ms=2_000, price=1.0), did("e2", 3, "a", at_ms=4_000, price=10.0)],
        opened={1: HALF, 2: HALF},
    )
    assert [(e.epoch, [a.units for a in e.arms]) for e in found.epochs] == [
        (1, [1, 0]),
        (2, [1, 1]),
    ]
    assert (arm(found, "control").units, arm(found, "personal").units) == (2, 1)
    assert (arm(found, "control").revenue, arm(found, "personal").revenue) == (1.0, 10.0)
    assert "epoch 1: variant 'personal' has no unit yet" in found.notes


def test_unit_that_saw_two_variants_belongs_to_the_first(report: MakeReport) -> None:
    """It is counted once, and told."""
    found = report([shown("x1", "a"), shown("x2", "a", "personal", at_ms=1_500)])
    assert [(each.variant, each.units, each.crossed_units) for each in found.arms] == [
        ("control", 1, 1)
    ]
    assert "1 unit saw more than one variant in an epoch; the first one counts" in found.notes


def test_exposures_that_no_split_decided_are_in_no_arm(report: MakeReport) -> None:
    """Forced units and visitors without an id are counted apart."""
    found = report(
        [
            shown("x1", "a", reason="TARGETING_MATCH"),
            slate("x2", unit_key=None, user_key=None, reason="NO_UNIT"),
            slate("x3", unit_key=None, user_key=None, reason="NO_UNIT"),
        ]
    )
    assert found.arms == []
    assert found.not_split == {"NO_UNIT": 2, "TARGETING_MATCH": 1}


def test_sample_ratio_is_tested_against_the_declared_shares(report: MakeReport) -> None:
    """30 to 10 fits 3 to 1; where half was declared, χ² is 10 and p .0016."""
    exposures = [shown(f"x{i}", f"u{i}", "control" if i < 30 else "personal") for i in range(40)]
    quarter = Opened(at_ms=0, rollout=Rollout(key="r", share=0.25))
    (epoch,) = report(exposures, opened={1: quarter}).epochs
    assert epoch.sample_ratio.p_value == pytest.approx(1.0)
    (epoch,) = report([], opened={1: HALF}).epochs
    assert epoch.sample_ratio.p_value == pytest.approx(0.001565, abs=1e-6)
    assert not epoch.sample_ratio.is_alarm
    lopsided = Opened(at_ms=0, rollout=Rollout(key="r", share=0.75))
    found = report([], opened={1: lopsided})
    assert found.epochs[0].sample_ratio.is_alarm
    assert "do not act" in found.notes[-1]


def test_weights_share_out_the_treated_units(report: MakeReport) -> None:
    """Share .4 over weights 3 and 1 declares .6, .3 and .1; each variant is shown, seen or not."""
    rollout = Rollout(
        key="r", share=0.4, variants=(Variant(key="one", weight=3), Variant(key="two"))
    )
    (epoch,) = report([], opened={1: Opened(at_ms=0, rollout=rollout)}).epochs
    shares = {arm.variant: arm.declared_share for arm in epoch.arms}
    assert shares == pytest.approx({"control": 0.6, "one": 0.3, "two": 0.1})


def test_unknown_rollout_is_told(report: MakeReport) -> None:
    """Neither configured nor ever shown: the message says how to make one."""
    with pytest.raises(NotFoundError, match="PUT /v1/rollouts/r"):
        report([], opened={})


def test_user_who_is_dealt_as_a_visitor_is_that_unit(
    report: MakeReport, event_log: EventLog
) -> None:
    """What user u does on any device counts for visitor v, whom u once was."""
    path = event_log
    connection = connect(path)
    connection.execute(
        "INSERT INTO identities (user_key, unit_kind, unit_key, at_ms) "
        "VALUES ('u', 'anonymous_id', 'v', 1)"
    )
    connection.close()
    phone = {"user_key": "u", "anonymous_key": "phone"}
    found = report(
        [slate("x1", unit_kind="anonymous_id", unit_key="v", user_key=None, anonymous_key="v")],
        [
            did("e1", 1, "u", **phone),
            did("e2", 3, "u", quantity=1.0, price=7.0, **phone),
        ],
    )
    control = arm(found, "control")
    assert (control.clicks_joined, control.buyers, control.revenue) == (1, 1, 7.0)


def test_unit_marked_as_crossed_is_counted(report: MakeReport) -> None:
    """A unit whose person is dealt another variant elsewhere counts once, however often shown."""
    found = report([shown("x1", "a"), shown("x2", "a", crossover=True), shown("x3", "b")])
    assert (arm(found, "control").crossed_units, arm(found, "control").units) == (1, 2)
    assert "1 unit saw more than one variant in an epoch; the first one counts" in found.notes


def test_later_report_adds_what_came_since(report: MakeReport, event_log: EventLog) -> None:
    """Two commits and three reports count the same as one, and so does a rollup made anew."""
    report([shown("x1", "a")], [did("e1", 1, "a", exposure_id="x1")])
    later = report(
        [shown("x2", "a"), shown("x3", "b", "personal")],
        [
            did("e2", 1, "a", exposure_id="x1"),
            did("e3", 1, "a", exposure_id="x2"),
            did("e4", 3, "b", price=2.0),
        ],
    )
    assert arm(later, "control").exposures == 2
    assert (arm(later, "control").clicked_exposures, arm(later, "control").clicks_named) == (2, 3)
    if isinstance(event_log, PostgresLog):
        connection = connect(event_log)
        connection.execute("DROP SCHEMA rollup CASCADE")
        connection.close()
    else:
        event_log.with_name(ROLLUP_FILE).unlink()
    assert report([]) == later


def test_funnel_counts_exposures_once_a_stage(report: MakeReport) -> None:
    """Served 2, rendered 1 (told twice), clicked 1, in the cart 1 by its item: half drops off."""
    found = report(
        [shown("x1", "a", platform="ios"), shown("x2", "b", platform="web", at_ms=1_500)],
        [
            did("e1", 16, "a", exposure_id="x1", item_id=None),
            did("e2", 16, "a", exposure_id="x1", item_id=None),
            did("e3", 1, "a", exposure_id="x1"),
            did("e4", 2, "a"),
        ],
    )
    whole = next(each for each in found.funnels if each.by == "all")
    assert [(step.stage, step.exposures) for step in whole.steps] == [
        ("served", 2), ("rendered", 1), ("viewable", 0), ("click", 1), ("add_to_cart", 1),
        ("purchase", 0),
    ]  # fmt: skip
    assert [step.drop_off for step in whole.steps] == [None, 0.5, None, 0.0, 0.0, None]
    platforms = {each.value: each.steps[1].exposures for each in found.funnels if
                 each.by == "platform"}  # fmt: skip
    assert platforms == {"ios": 1, "web": 0}
    assert (arm(found, "control").carters, arm(found, "control").add_to_cart) == (1, 0.5)


def test_loss_of_rendering_in_one_arm_forbids_acting(report: MakeReport) -> None:
    """Of 1,000 slates an arm 950 and 750 are drawn: an alarm, though the units are as declared."""
    variants = ("control", "personal")
    exposures = [shown(f"x{v}{i}", f"u{v}{i}", v) for v in variants for i in range(1_000)]
    drawn = [
        did(f"e{v}{i}", 16, f"u{v}{i}", exposure_id=f"x{v}{i}", item_id=None)
        for v, n in zip(variants, (950, 750), strict=True)
        for i in range(n)
    ]
    found = report(exposures, drawn)
    (difference,) = found.rendered
    assert difference.is_alarm
    assert difference.difference is not None
    assert difference.difference.value == pytest.approx(-0.2)
    assert found.verdict.code == "do_not_act"
    assert "'personal' and control are not rendered equally" in found.verdict.sentence


def test_what_was_bought_before_is_taken_out(report: MakeReport) -> None:
    """Who bought before buys again: the adjusted difference is that of equal pasts.

    Control has 30 of 40 old customers, treatment 10 of 40; old ones always buy, of the new ones ten
    in treatment. The slope is (7.5 + 5) / (7.5 + 7.5) = 5/6, so the plain -.25 becomes
    -.25 + .5 · 5/6 = 1/6. A purchase of the month before last is no past.
    """
    old = [*(f"a{i}" for i in range(30)), *(f"b{i}" for i in range(10))]
    new = [f"b{i}" for i in range(10, 20)]
    day = 86_400_000
    exposures = [
        shown(f"x{u}{i}", f"{u}{i}", v, at_ms=40 * day)
        for u, v in (("a", "control"), ("b", "personal"))
        for i in range(40)
    ]
    events = [did(f"p{u}", 3, u, at_ms=39 * day, price=1.0) for u in old]
    events += [did(f"q{u}", 3, u, at_ms=41 * day, price=1.0) for u in (*old, *new)]
    events += [did(f"late{u}", 3, u, at_ms=11 * day, price=1.0) for u in new]
    found = report(exposures, events)
    comparison = next(each for each in found.comparisons if each.metric == "conversion")
    assert comparison.is_adjusted
    assert comparison.absolute is not None
    assert comparison.absolute.value == pytest.approx(1 / 6)


def test_order_value_is_compared(report: MakeReport) -> None:
    """Two orders of 10 a buyer of control, one of 10 or 30 of the other: 10 and 20, and a width."""
    units = [(f"{v[0]}{i}", v) for v in ("control", "personal") for i in range(30)]
    exposures = [shown(f"x{unit}", unit, variant) for unit, variant in units]
    bought = [
        did(f"e{unit}{n}", 3, unit, order_id=f"o{unit}{n}", price=10.0 if n < 2 else 30.0)
        for i, (unit, variant) in enumerate(units)
        for n in ((0, 1) if variant == "control" else (2 * (i % 2),))
    ]
    found = report(exposures, bought)
    values = [each.average_order_value for each in found.arms]
    assert values == [10.0, 20.0]
    (order_value,) = (one for one in found.comparisons if one.metric == "average_order_value")
    assert order_value.absolute is not None
    assert order_value.absolute.value == 10.0
    assert 10.0 - order_value.absolute.low == pytest.approx(
        stdtrit(29, 0.975) * (30 * 100 / 29 * 30) ** 0.5 / 30
    )


def test_largest_revenue_is_capped(report: MakeReport) -> None:
    """Of 200 buyers at 1 to 200, 99 % paid up to 198; 199 and 200 count as 198."""
    exposures = [shown(f"x{i}", f"u{i}") for i in range(200)]
    found = report(exposures, [did(f"e{i}", 3, f"u{i}", price=i + 1.0) for i in range(200)])
    assert found.revenue_cap == 198.0


def test_catalogue_that_is_really_shown(report: MakeReport) -> None:
    """Two items, equally often: both are needed for nine tenths."""
    control = arm(report([shown("x1", "a")]), "control")
    assert (control.items_shown, control.effective_items) == (2, 2)
    assert (control.catalogue_items_shown, control.catalogue_coverage) == (None, None)


def test_catalogue_coverage_is_of_the_items_of_the_model(report: MakeReport) -> None:
    """Of p1, p3, p4 and p5 control showed one: p1 twice; p2 is no item of the model any more."""
    catalogue = Vocabulary.from_ids(["p1", "p3", "p4", "p5"])
    found = report([shown("x1", "a"), shown("x2", "b")], catalogue=catalogue)
    control = arm(found, "control")
    assert (found.catalogue_items, control.items_shown) == (4, 2)
    assert (control.catalogue_items_shown, control.catalogue_coverage) == (1, 0.25)
    assert found.epochs[0].arms[0].catalogue_coverage is None


@pytest.mark.parametrize("event_url", ["sqlite"], indirect=True)
def test_units_are_looked_up_and_not_scanned(report: MakeReport, tmp_path: Path) -> None:
    """No statement of a report walks through all units: ten million would take minutes."""
    report([shown("x1", "a")])
    connection = open_rollup(tmp_path / "events.sqlite")
    values = {"rollout": "r", "before": 1, "capped": 1.0, "cap": 1.0}
    steps: list[str] = []
    for statement in (*unit_money.TABLES, outcomes._ARMS, outcomes._PEOPLE):
        if not statement.strip().startswith(("CREATE INDEX", "DROP")):
            plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
            steps += [step for *_, step in plan]
        if statement.strip().startswith(("CREATE", "DROP")):
            connection.execute(statement, values)
    connection.close()
    # What a subquery scans has a step of its own.
    scanned = {step.split()[1] for step in steps if step.startswith("SCAN")} - {
        step.split()[1] for step in steps if step.startswith("SCAN (subquery")
    }
    assert scanned <= {
        *("deed", "lines", "ordered", "placed", "seen", "orders", "past", "money"),
        *("spent", "people"),
    }
    assert any(step.startswith("SEARCH units") for step in steps)


def test_exposures_drawn_as_another_variant_are_named(report: MakeReport) -> None:
    """Of five reports two name another variant, one of them twice; a crawler's does not count."""
    found = report(
        [shown(f"x{n}", f"u{n}", "control" if n < 3 else "big") for n in range(5)],
        [
            did("e0", RENDERED, "u0", item_id=None, exposure_id="x0", variant="control"),
            did("e1", RENDERED, "u1", item_id=None, exposure_id="x1", variant="big"),
            did("e2", RENDERED, "u1", item_id=None, exposure_id="x1", variant="big"),
            did("e3", RENDERED, "u3", item_id=None, exposure_id="x3"),
            did("e4", RENDERED, "u4", item_id=None, exposure_id="x4", variant="small"),
            did(
                "e5",
                RENDERED,
                "u2",
                item_id=None,
                exposure_id="x2",
                variant="big",
                flags=int(EventFlag.BOT),
            ),
        ],
    )
    assert [
        (each.variant, each.drawn, each.exposures, each.exposure_ids)
        for each in found.drawn_otherwise
    ] == [("big", "small", 1, ["x4"]), ("control", "big", 1, ["x1"])]
    assert (
        "1 exposure of variant 'control' was drawn as 'big', e.g. x1; what counts is the "
        "variant that was assigned: look for a page cache, or a client that decides by itself"
        in found.notes
    )
