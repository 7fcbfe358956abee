"""Visits, dwell and retention over a real store: by hand, against plain code, by simulation."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from service.exposure import Exposure
from service.reports.arms import Arm
from service.reports.comparison import Comparison
from service.reports.epochs import Opened
from service.reports.gather import report_epochs
from service.reports.report import Report
from service.reports.statistics import Estimate
from service.reports.stays import StaySums, estimate_stay, wilson
from service.rollouts.definition import Rollout
from service.stores.event_database import connect, connect_derived, open_event_database
from service.stores.event_log import ROLLUP, EventLog
from service.stores.event_schema import EventFlag
from service.stores.events import Batch, StoredEvent
from service.stores.opening import open_event_store
from service.stores.outcomes import read_outcomes
from service.stores.personal_rows import delete_rows
from service.stores.rollout_sums import Cohort
from service.stores.rollup import add_new, open_rollup
from service.stores.rollup_erasing import erase_units
from service.stores.rollup_visits import SCHEMA, WINDOWS_DAYS
from tests.unit.service.intake.samples import slate
from tests.unit.service.stores.plain_stays import plain_stays

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
VIEW, CLICK, REFUND = 0, 1, 4
NOW = 100 * DAY
HALF = Opened(at_ms=0, rollout=Rollout(key="r", share=0.5))


@pytest.fixture
def path(event_log: EventLog) -> EventLog:
    return event_log


def store(path: EventLog, *rows: Exposure | StoredEvent) -> None:
    writer = open_event_store(path, opened_ms=1)
    events = [row for row in rows if isinstance(row, StoredEvent)]
    writer.commit(Batch(events, [row for row in rows if isinstance(row, Exposure)]))
    writer.close(2)


class Shop:
    """Names rows by their number."""

    n = 0

    def shown(self, unit: str, at_ms: int, variant: str = "control", epoch: int = 1) -> Exposure:
        self.n += 1
        return slate(
            f"x{self.n}", unit_key=unit, user_key=unit, at_ms=at_ms, variant=variant, epoch=epoch
        )

    def did(self, unit: str, at_ms: int, kind: int = VIEW, **fields: object) -> StoredEvent:
        self.n += 1
        row = StoredEvent(f"e{self.n}", kind, at_ms, at_ms, user_key=unit, item_id="p9")
        return row._replace(**fields)  # type: ignore[arg-type]  # one dict for every field


@pytest.fixture
def shop() -> Shop:
    return Shop()


def report(path: EventLog, opened: dict[int, Opened] | None = None, at_ms: int = NOW) -> Report:
    return report_epochs(path, "r", opened or {1: HALF}, at_ms=at_ms)


def arm(found: Report, variant: str = "control") -> Arm:
    return next(each for each in found.arms if each.variant == variant)


def seen(found: Report, variant: str = "control") -> list[tuple[int, int]]:
    return [(point.units, point.seen) for point in arm(found, variant).stay.retention]


def test_visits_are_cut_by_half_an_hour_of_nothing(path: EventLog, shop: Shop) -> None:
    """Shown at 0, seen at 10 and 40 min: 40 minutes. At 71 min a visit of nothing; at 3 h of 90 s.

    A pause of half an hour to the ms is none. What came before the exposure is no dwell: it is the
    first that counts.
    """
    begin = 10 * DAY
    store(
        path,
        shop.did("a", begin - MINUTE),
        shop.shown("a", begin),
        shop.did("a", begin + 10 * MINUTE),
        shop.did("a", begin + 40 * MINUTE, CLICK),
        shop.did("a", begin + 70 * MINUTE + 1),
        shop.shown("a", begin + 3 * HOUR),
        shop.did("a", begin + 3 * HOUR + 90 * SECOND),
    )
    stay = arm(report(path)).stay
    assert (stay.units, stay.visits, stay.returned) == (1, 3, 1)
    assert stay.dwell_s == 40 * 60 + 90
    assert stay.dwell_per_visit_s == pytest.approx((40 * 60 + 90) / 3)
    assert (stay.visits_per_unit, stay.return_rate) == (3.0, 1.0)


def test_retention_asks_only_who_is_old_enough(path: EventLog, shop: Shop) -> None:
    """Three units of day 10, one of day 30: on day 39 all are asked about the first week.

    a is seen on its days 1 and 8, b on day 0 alone, c on day 27 and in the ms before day 1; d on
    its day 2. Of day 10 everybody is 28 days old on day 39, and d is then 8.
    """
    begin = 10 * DAY
    store(
        path,
        *(shop.shown(unit, begin) for unit in "abc"),
        shop.shown("d", 30 * DAY),
        shop.did("a", begin + DAY),
        shop.did("a", begin + 8 * DAY),
        shop.did("b", begin + DAY - 1),
        shop.did("c", begin + DAY - 1),
        shop.did("c", begin + 28 * DAY - 1),
        shop.did("d", 32 * DAY),
    )
    assert seen(report(path, at_ms=39 * DAY - 1)) == [(4, 2), (3, 1), (0, 0)]
    assert seen(report(path, at_ms=39 * DAY)) == [(4, 2), (3, 1), (3, 1)]
    assert seen(report(path, at_ms=18 * DAY - 1)) == [(0, 0)] * 3
    first = arm(report(path)).stay.retention[0]
    assert (first.from_day, first.until_day, first.share) == (1, 7, 0.5)
    assert (first.low, first.high) == pytest.approx((0.1500, 0.8500), abs=1e-4)


def test_epoch_that_ended_is_asked_no_more(path: EventLog, shop: Shop) -> None:
    """The epoch of day 10 ends on day 19: its unit was asked about days 1 to 7, no others.

    What it does from its exposure in the next epoch on is that one's: one visit in the first, two
    in the second, where the unit counts again.
    """
    opened = {
        1: Opened(at_ms=9 * DAY, rollout=Rollout(key="r", share=0.5)),
        2: Opened(at_ms=19 * DAY, rollout=Rollout(key="r", share=1.0)),
    }
    store(
        path,
        shop.shown("a", 10 * DAY),
        shop.shown("a", 20 * DAY, "personal", epoch=2),
        shop.did("a", 25 * DAY),
    )
    found = report(path, opened)
    stays = {(epoch.epoch, one.variant): one.stay for epoch in found.epochs for one in epoch.arms}
    assert [point.units for point in stays[1, "control"].retention] == [1, 0, 0]
    assert stays[1, "control"].visits == 1
    assert [point.seen for point in stays[2, "personal"].retention] == [1, 0, 0]
    assert stays[2, "personal"].visits == 2
    # An epoch that nobody remembers is taken to begin as it is first seen.
    assert seen(report(path)) == [(1, 0), (0, 0), (0, 0)]


def test_who_is_active(path: EventLog, shop: Shop) -> None:
    """A user's device, a visitor's account that is known late, and no bot, refund or crawler."""
    begin = 10 * DAY
    store(
        path,
        shop.shown("a", begin),
        slate("v1", unit_kind="anonymous_id", unit_key="v", user_key=None, anonymous_key="v",
              at_ms=begin),
        shop.did("other", begin + DAY, anonymous_key="a"),
        shop.did("u", begin + 2 * DAY, anonymous_key="phone"),
        shop.did("a", begin + 3 * DAY, flags=int(EventFlag.BOT)),
        shop.did("a", begin + 4 * DAY, REFUND),
        slate("x", unit_key="a", at_ms=begin + 5 * DAY, rollout_key=None, reason="ROBOT"),
        slate("y", unit_key=None, user_key="a", at_ms=begin + 6 * DAY, rollout_key=None),
    )  # fmt: skip
    assert arm(report(path)).stay.visits == 4
    with closing(connect(path)) as connection:
        connection.execute(
            "INSERT INTO identities (user_key, unit_kind, unit_key, at_ms) "
            "VALUES ('u', 'anonymous_id', 'v', 1)"
        )
    assert arm(report(path)).stay.visits == 5
    store(path, shop.did("u", begin + 2 * DAY + HOUR))
    assert arm(report(path)).stay.visits == 6


def test_event_from_the_future_counts_as_from_its_arrival(path: EventLog, shop: Shop) -> None:
    """A client whose clock is a week ahead was seen the minute after, and has one visit."""
    begin = 10 * DAY
    late = shop.did("a", begin + 7 * DAY, received_ms=begin + MINUTE)
    store(path, shop.shown("a", begin), late)
    stay = arm(report(path)).stay
    assert (stay.visits, stay.dwell_s) == (1, 60)


def history(rng: np.random.Generator, shop: Shop) -> list[Exposure | StoredEvent]:
    """Let twelve units of two arms come and go for 40 days, in two epochs."""
    rows: list[Exposure | StoredEvent] = []
    for i in range(400):
        unit = f"u{rng.integers(12)}"
        # Close together and far apart, so that late rows bridge visits.
        at_ms = int(rng.integers(40)) * DAY + int(rng.integers(8)) * 25 * MINUTE
        if rng.random() < 0.3:
            epoch = 1 + (at_ms > 20 * DAY)
            rows.append(shop.shown(unit, at_ms, ("control", "personal")[i % 2], epoch))
        else:
            rows.append(shop.did(unit, at_ms))
    return rows


def plain(rows: Sequence[Exposure | StoredEvent]) -> dict[tuple[int, str, int], list[int]]:
    """Add cohorts up in the plainest way: units, returned, visits, dwell, seen by window."""
    found: dict[tuple[int, str, int], list[int]] = {}
    for (_, epoch), one in plain_stays(rows).items():
        sums = found.setdefault((epoch, one.variant, one.day), [0] * (4 + len(one.seen)))
        parts = [1, one.n_visits > 1, one.n_visits, one.dwell_s, *one.seen]
        found[epoch, one.variant, one.day] = [a + int(b) for a, b in zip(sums, parts, strict=True)]
    return found


def cohorts(path: EventLog) -> dict[tuple[int, str, int], list[int]]:
    return {
        (one.epoch, one.variant, one.day): [
            one.n_units, one.n_returned, one.n_visits, one.dwell_s, *one.n_seen,
        ]
        for one in read_outcomes(path, "r").cohorts
    }  # fmt: skip


@pytest.mark.parametrize("n_rows", [1, 13, 1_000])
def test_sums_are_those_of_plain_code_in_whatever_order(
    path: EventLog, shop: Shop, n_rows: int
) -> None:
    """400 rows in any order and steps of any length come to what a loop over them comes to."""
    rng = np.random.default_rng(n_rows)
    rows = history(rng, shop)
    for first in range(0, 400, 50):
        store(path, *rows[first : first + 50])
        with closing(open_rollup(path, max_new=0)) as sums:
            for _ in range(9):
                add_new(sums, n_rows)
    assert cohorts(path) == plain(rows)


def test_erased_unit_leaves_the_cohorts(path: EventLog, shop: Shop) -> None:
    """Afterwards all is as if it had never come, and nothing of its visits is left."""
    rows = history(np.random.default_rng(3), shop)
    store(path, *rows)
    read_outcomes(path, "r")
    delete_rows(path, ["u3", "u4"])
    erase_units(path, ["u3", "u4"])
    assert cohorts(path) == plain([row for row in rows if row.user_key not in ("u3", "u4")])
    with closing(connect_derived(path, ROLLUP, busy_timeout_ms=1_000)) as sums:
        for table in ("visits", "stays"):
            (n_left,) = sums.execute(
                f"SELECT count(*) FROM {table} WHERE unit NOT IN (SELECT id FROM keys)"
            ).fetchone()
            assert n_left == 0


def test_old_visits_go_and_what_they_came_to_stays(path: EventLog, shop: Shop) -> None:
    """A unit of day 1 is done on day 60: its visits and a stranger's key are gone, its sums not.

    What comes later than that alters nothing; who was shown something since is counted as ever.
    """
    store(path, shop.shown("a", DAY), shop.did("a", 3 * DAY), shop.did("stranger", DAY))
    before = cohorts(path)
    store(path, shop.shown("b", 60 * DAY))
    read_outcomes(path, "r")
    store(path, shop.did("a", 4 * DAY), shop.did("b", 61 * DAY))
    after = cohorts(path)
    assert {place: after[place] for place in before} == before
    assert after[1, "control", 60] == [1, 1, 2, 0, 1, 0, 0]
    with closing(connect_derived(path, ROLLUP, busy_timeout_ms=1_000)) as sums:
        assert sums.execute("SELECT begin_ms FROM visits ORDER BY 1").fetchall() == [
            (60 * DAY,),
            (61 * DAY,),
        ]
        assert sums.execute("SELECT key FROM keys ORDER BY 1").fetchall() == [("a",), ("b",)]


@pytest.mark.parametrize("event_url", ["sqlite"], indirect=True)
def test_sums_of_the_version_before_are_kept(path: EventLog, shop: Shop) -> None:
    """What was expired since stays in the old sums; visits are added up from what is stored."""
    store(path, shop.shown("a", DAY), shop.shown("b", DAY), shop.did("b", 3 * DAY))
    before = read_outcomes(path, "r")
    names = [line.split()[2] for line in SCHEMA.splitlines() if line.startswith("CREATE")]
    with closing(connect_derived(path, ROLLUP, busy_timeout_ms=1_000)) as sums:
        for name in names:
            sums.execute(f"DROP TABLE {name}")
        sums.execute("DELETE FROM progress WHERE name LIKE '%visits%' OR name = 'deeds'")
        sums.execute("ALTER TABLE orders DROP COLUMN by_server")
        sums.execute("PRAGMA user_version = 5")
    with closing(connect(path)) as log:
        log.execute("DELETE FROM exposures WHERE unit_key = 'a'")
    after = read_outcomes(path, "r")
    assert (after.arms, after.people) == (before.arms, before.people)
    assert after.cohorts == [
        Cohort(1, "control", 1, 1, 1, 2, 0, 4, 0, 0, (1, 0, 0)),
    ]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Make 2,400 units; the treated come back in the first week with .36 instead of .30.

    Their visits last 300 s on average instead of 240; in the other weeks nothing differs.
    """
    path = open_event_database(tmp_path_factory.mktemp("simulated"))
    rng, shop = np.random.default_rng(17), Shop()
    rows: list[Exposure | StoredEvent] = []
    for i in range(2_400):
        variant = ("control", "personal")[i % 2]
        first = int(rng.integers(20)) * DAY + int(rng.integers(DAY))
        begins = [first]
        for (from_day, until_day), rate in zip(
            WINDOWS_DAYS, (0.30 + 0.06 * (i % 2), 0.2, 0.1), strict=True
        ):
            if rng.random() < rate:
                begins.append(first + int(rng.uniform(from_day, until_day - 0.05) * DAY))
        rows.append(shop.shown(f"u{i}", first, variant))
        for begin in begins:
            length = min(rng.exponential(240 + 60 * (i % 2)), 25 * 60)
            rows += [shop.did(f"u{i}", begin), shop.did(f"u{i}", begin + int(length * SECOND))]
    order = rng.permutation(len(rows))
    store(path, *(rows[place] for place in order))
    return report(path)


def compared(found: Report, metric: str) -> Comparison:
    return next(each for each in found.comparisons if each.metric == metric)


def test_planted_difference_is_found_where_it_was_planted(simulated: Report) -> None:
    """The first week and dwell differ as planted; the third and fourth week do not."""
    week = compared(simulated, "retention_7")
    assert week.absolute is not None
    assert week.absolute.low < 0.06 < week.absolute.high
    assert week.absolute.low > 0
    assert week.q_value is not None
    assert week.q_value < 0.05
    dwell = compared(simulated, "dwell_per_visit")
    assert dwell.absolute is not None
    assert dwell.always_valid is not None
    assert dwell.absolute.low < 60 < dwell.absolute.high
    assert dwell.always_valid.low > 0
    nothing = compared(simulated, "retention_28")
    assert nothing.absolute is not None
    assert nothing.absolute.low < 0 < nothing.absolute.high
    assert seen(simulated)[0][0] == 1_200


def test_ratio_of_dwell_knows_that_visits_of_a_unit_belong_together() -> None:
    """Two units, 1 visit of 10 s and 3 of 30 s in all: 10 s a visit, with no spread at all.

    With 40 s instead of 30 the ratio is 12.5; residuals are -2.5 and 2.5, so the spread is
    12.5 / 1, and the variance 12.5 · 2 / 16.
    """
    even = StaySums(n_units=2, n_visits=4, dwell_s=40, sum_vv=10, sum_dd=1_000, sum_vd=100)
    assert estimate_stay(even, "dwell_per_visit") == Estimate(10.0, 0.0, 2)
    uneven = StaySums(n_units=2, n_visits=4, dwell_s=50, sum_vv=10, sum_dd=1_700, sum_vd=130)
    assert estimate_stay(uneven, "dwell_per_visit") == Estimate(12.5, 12.5 * 2 / 16, 2)


def test_interval_of_a_share_is_right_for_none(tmp_path: Path) -> None:
    """0 of 10 may be up to .2775, and 10 of 10 down to .7225."""
    assert wilson(0, 10) == pytest.approx((0.0, 0.27753), abs=1e-5)
    assert wilson(10, 10) == pytest.approx((0.72247, 1.0), abs=1e-5)
