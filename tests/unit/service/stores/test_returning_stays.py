"""Sums of visits over units that are in two epochs are those of plain code over the rows."""

from functools import partial

import numpy as np
import pytest

from service.exposure import Exposure
from service.reports.epochs import Opened, epoch_ends
from service.reports.gather import report_epochs
from service.rollouts.definition import Rollout
from service.stores.event_log import EventLog
from service.stores.events import Batch, StoredEvent
from service.stores.opening import open_event_store
from service.stores.outcomes import read_outcomes
from service.stores.rollout_sums import ReturningStays
from service.stores.rollup_visits import DAY_MS, WINDOWS_DAYS
from tests.unit.service.intake.samples import slate
from tests.unit.service.stores.plain_stays import PlainStay, plain_stays

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
BEGINS_DAY = {1: 10, 2: 45, 3: 80}
NOW_DAY = 115
SHARES = (0.2, 0.4, 0.7)
OPENED = {
    epoch: Opened(at_ms=day * DAY_MS, rollout=Rollout(key="r", share=SHARES[epoch - 1]))
    for epoch, day in BEGINS_DAY.items()
}
Rows = list[Exposure | StoredEvent]
Place = tuple[int, str, int, str]


def store(event_log: EventLog, rows: Rows) -> None:
    writer = open_event_store(event_log, opened_ms=1)
    events = [row for row in rows if isinstance(row, StoredEvent)]
    writer.commit(Batch(events, [row for row in rows if isinstance(row, Exposure)]))
    writer.close(2)


def shown(unit: str, epoch: int, variant: str, at_ms: int) -> Exposure:
    name = f"x{unit}-{epoch}"
    return slate(name, unit_key=unit, user_key=unit, epoch=epoch, variant=variant, at_ms=at_ms)


def viewed(event_id: str, unit: str, at_ms: int) -> StoredEvent:
    return StoredEvent(event_id, 0, at_ms, at_ms, user_key=unit, item_id="p1")


def history(rng: np.random.Generator) -> Rows:
    """Make a ramp over three epochs in which units skip some, change sides and come back."""
    rows: Rows = []
    for number in range(60):
        unit, bucket = f"u{number}", rng.random()
        for epoch, begin in BEGINS_DAY.items():
            if rng.random() > 0.8:
                continue
            # Some are too young for any window when the epoch ends, and some old enough for all.
            first = begin + int(rng.integers(0, 31))
            variant = "personal" if bucket < SHARES[epoch - 1] else "control"
            at_ms = first * DAY_MS + int(rng.integers(DAY_MS))
            rows.append(shown(unit, epoch, variant, at_ms))
            for i in range(int(rng.integers(0, 6))):
                later = at_ms + int(rng.integers(0, 30)) * DAY_MS + int(rng.integers(3)) * HOUR_MS
                for j in range(2):
                    moment = later + j * int(rng.integers(20)) * MINUTE_MS
                    rows.append(viewed(f"e{unit}-{epoch}-{i}-{j}", unit, moment))
    return rows


def plain(stays: dict[tuple[str, int], PlainStay]) -> dict[Place, ReturningStays]:
    """Add up, unit by unit, who was in two epochs; who is too young is not asked."""
    ends = {1: BEGINS_DAY[2], 2: BEGINS_DAY[3], 3: NOW_DAY}
    found: dict[Place, ReturningStays] = {}
    for (unit, epoch), one in stays.items():
        for later in {1, 2, 3} - {epoch}:
            other = stays.get((unit, later))
            if other is None:
                continue
            days = min(ends[epoch] - one.day, ends[later] - other.day) - 1
            is_old = [days >= end for _, end in WINDOWS_DAYS]
            seen = [old and here for old, here in zip(is_old, one.seen, strict=True)]
            twice = [here and there for here, there in zip(seen, other.seen, strict=True)]
            mine = (
                1,
                one.n_visits > 1,
                one.n_visits > 1 and other.n_visits > 1,
                one.n_visits,
                one.n_visits * other.n_visits,
                one.n_visits * other.dwell_s,
                one.dwell_s * other.dwell_s,
            )
            place = epoch, one.variant, later, other.variant
            sums = found.get(place, ReturningStays())
            counts = [
                tuple(a + b for a, b in zip(column, flags, strict=True))
                for column, flags in zip(sums[7:], (is_old, seen, twice), strict=True)
            ]
            totals = [a + b for a, b in zip(sums[:7], mine, strict=True)]
            found[place] = ReturningStays._make((*totals, *counts))
    return found


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_sums_of_visits_are_those_of_plain_code(event_log: EventLog, seed: int) -> None:
    """Both ways and for all that is summed; each window has some who are too young for it."""
    rows = history(np.random.default_rng(seed))
    store(event_log, rows)
    find_ends = partial(epoch_ends, opened=OPENED, at_ms=NOW_DAY * DAY_MS)
    sums = read_outcomes(event_log, "r", find_ends=find_ends)
    found = {each[:4]: each.stay for each in sums.returning}
    assert found == plain(plain_stays(rows))
    assert len({(variant, other) for _, variant, _, other in found}) == 4
    asked = np.sum([stay.n_old for stay in found.values()], axis=0)
    n_pairs = sum(stay.n_units for stay in found.values())
    assert n_pairs > asked[0] > asked[1] > asked[2] > 0


def test_report_knows_that_the_same_units_came_back_again(event_log: EventLog) -> None:
    """200 units do in a second epoch what they did in the first: the interval is that of one.

    As if they were 400 it would be narrower by √2; Student's quantile is, a little.
    """
    rows: Rows = []
    for epoch in (1, 2):
        first_ms = BEGINS_DAY[epoch] * DAY_MS
        for i in range(200):
            unit = f"u{i}"
            rows.append(shown(unit, epoch, ("control", "personal")[i % 2], first_ms))
            if i % 6 < 2:
                later_ms = first_ms + 2 * DAY_MS
                rows += [
                    viewed(f"a{unit}-{epoch}", unit, later_ms),
                    viewed(f"b{unit}-{epoch}", unit, later_ms + (i % 11) * MINUTE_MS),
                ]
    store(event_log, rows)
    opened = {epoch: OPENED[epoch] for epoch in (1, 2)}
    report = report_epochs(event_log, "r", opened, at_ms=BEGINS_DAY[3] * DAY_MS)
    for metric in ("return_rate", "visits_per_unit", "dwell_per_visit", "retention_7"):
        whole, first = (
            next(one.absolute for one in found if one.metric == metric)
            for found in (report.comparisons, report.epochs[0].comparisons)
        )
        assert whole is not None
        assert first is not None
        assert whole.value == pytest.approx(first.value)
        assert whole.high - whole.low == pytest.approx(first.high - first.low, rel=0.01)
