"""Sums over units that are in two epochs are those of plain code over the rows of the log."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest

from service.exposure import Exposure
from service.reports.epochs import epoch_ends
from service.reports.gather import report_epochs
from service.stores import returning_units
from service.stores.event_log import EventLog
from service.stores.events import Batch, StoredEvent
from service.stores.opening import open_event_store
from service.stores.outcomes import read_outcomes
from service.stores.rollout_sums import BEFORE_MS, ReturningSums, RolloutSums
from tests.unit.service.intake.samples import slate

CLICK, CART, PURCHASE, REFUND = 1, 2, 3, 4
EPOCH_MS = 1_000
FROM_MS = BEFORE_MS
Rows = list[Exposure | StoredEvent]
Store = Callable[[Rows], None]


@pytest.fixture
def store(event_log: EventLog) -> Iterator[Store]:
    writer = open_event_store(event_log, opened_ms=1)

    def commit(rows: Rows) -> None:
        events = [row for row in rows if isinstance(row, StoredEvent)]
        exposures = [row for row in rows if isinstance(row, Exposure)]
        writer.commit(Batch(events, exposures))

    yield commit
    writer.close(2)


def read_all(event_log: EventLog) -> RolloutSums:
    return read_outcomes(event_log, "r", find_ends=partial(epoch_ends, opened={}, at_ms=9))


def shown(exposure_id: str, unit: str, epoch: int, variant: str, at_ms: int) -> Exposure:
    return slate(
        exposure_id, unit_key=unit, user_key=unit, epoch=epoch, variant=variant, at_ms=at_ms
    )


def did(event_id: str, kind: int, unit: str, at_ms: int, **fields: object) -> StoredEvent:
    row = StoredEvent(event_id, kind, at_ms, at_ms, user_key=unit, item_id="p1")
    return row._replace(**fields)  # type: ignore[arg-type]  # one dict for every field


class Unit:
    """What one unit did in one epoch."""

    def __init__(self, variant: str) -> None:
        self.variant = variant
        self.n_shown, self.n_clicked, self.n_carts, self.n_bought, self.paid = 0, 0, 0, 0, 0.0


def history(rng: np.random.Generator) -> tuple[Rows, dict[tuple[str, int], Unit], dict[str, float]]:
    """Make a ramp over three epochs, and say of each unit and epoch what happened there."""
    rows: Rows = []
    units: dict[tuple[str, int], Unit] = {}
    before: dict[str, float] = defaultdict(float)
    for number in range(40):
        unit, bucket = f"u{number}", rng.random()
        epochs = [epoch for epoch in (1, 2, 3) if rng.random() < 0.7]
        for epoch in epochs:
            variant = "personal" if bucket < (0.2, 0.4, 0.7)[epoch - 1] else "control"
            one = units[unit, epoch] = Unit(variant)
            first_ms = FROM_MS + epoch * EPOCH_MS + number
            for i in range(int(rng.integers(1, 4))):
                name = f"x{unit}-{epoch}-{i}"
                rows.append(shown(name, unit, epoch, variant, first_ms + i))
                one.n_shown += 1
                for j in range(int(rng.integers(0, 3))):
                    event_id = f"c{name}-{j}"
                    rows.append(did(event_id, CLICK, unit, first_ms + 50, exposure_id=name))
                    one.n_clicked += j == 0
            kinds = [CART, PURCHASE, PURCHASE, REFUND]
            for i, kind in enumerate(rng.choice(kinds, int(rng.integers(0, 4))).tolist()):
                price = float(rng.integers(1, 90))
                event_id = f"d{unit}-{epoch}-{i}"
                rows.append(did(event_id, kind, unit, first_ms + 100 + i, price=price))
                one.n_carts += kind == CART
                one.n_bought += kind == PURCHASE
                one.paid += price * {PURCHASE: 1, REFUND: -1}.get(kind, 0)
        if epochs and rng.random() < 0.4:
            price = float(rng.integers(1, 90))
            rows.append(did(f"b{unit}", PURCHASE, unit, FROM_MS, price=price))
            before[unit] += price
    return rows, units, before


def plain(
    units: dict[tuple[str, int], Unit], before: dict[str, float], cap: float
) -> dict[tuple[int, str, int, str], list[float]]:
    """Add up, unit by unit, who was in two epochs."""
    found: dict[tuple[int, str, int, str], list[float]] = {}
    for (name, epoch), one in units.items():
        for later in {1, 2, 3} - {epoch}:
            other = units.get((name, later))
            if other is None:
                continue
            sums = found.setdefault((epoch, one.variant, later, other.variant), [0.0] * 19)
            paid, again = min(one.paid, cap), min(other.paid, cap)
            past = min(before.get(name, 0.0), cap)
            mine = (
                1,
                one.n_shown * other.n_shown,
                one.n_clicked * other.n_clicked,
                one.n_shown * other.n_clicked,
                one.n_carts > 0,
                one.n_carts > 0 and other.n_carts > 0,
                one.n_bought > 0,
                one.n_bought > 0 and other.n_bought > 0,
                one.paid,
                one.paid * other.paid,
                paid,
                paid * again,
                name in before,
                name in before and one.n_bought > 0,
                past,
                past * past,
                past * paid,
                one.n_bought * other.n_bought,
                one.n_bought * other.paid,
            )
            for i, value in enumerate(mine):
                sums[i] += value
    return found


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_sums_over_pairs_of_epochs_are_those_of_plain_code(
    event_log: EventLog, store: Store, seed: int
) -> None:
    """A ramp in which units skip epochs and change sides, both ways and for all that is summed."""
    rows, units, before = history(np.random.default_rng(seed))
    store(rows)
    sums = read_all(event_log)
    assert sums.revenue_cap is not None
    expected = plain(units, before, sums.revenue_cap)
    found = {each[:4]: list(each[4:-1]) for each in sums.returning}
    assert list(found) == sorted(expected)
    assert len({(variant, other) for _, variant, _, other in found}) == 4
    for place, values in expected.items():
        assert found[place] == pytest.approx(values)


def test_report_knows_that_the_same_units_did_the_same_again(
    event_log: EventLog, store: Store
) -> None:
    """200 units do in a second epoch what they did in the first: the interval is that of one.

    As if they were 400 it would be narrower by √2; Student's quantile is, a little.
    """
    names = [f"u{i}" for i in range(200)]
    for epoch in (1, 2):
        at_ms = epoch * EPOCH_MS
        for i, name in enumerate(names):
            store([shown(f"x{epoch}{name}", name, epoch, ("control", "personal")[i % 2], at_ms)])
        buyers = [name for i, name in enumerate(names) if i % 6 < 2]
        store([did(f"e{epoch}{name}", PURCHASE, name, at_ms + 1, price=1.0) for name in buyers])
    report = report_epochs(event_log, "r", {}, at_ms=9)
    whole, first = (
        next(one.absolute for one in found if one.metric == "conversion")
        for found in (report.comparisons, report.epochs[0].comparisons)
    )
    assert whole is not None
    assert first is not None
    assert whole.value == pytest.approx(first.value)
    assert whole.high - whole.low == pytest.approx(first.high - first.low, rel=0.01)


def test_one_epoch_asks_nothing_more(
    event_log: EventLog, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is one epoch, or nobody wants to know, no statement runs for it."""
    for name in ("_SEEN", "_ENDED", "_STAYED", "_INDEX", "_N_BOUGHT", "_DID"):
        monkeypatch.setattr(returning_units, name, "no statement")
    store([shown("x1", "a", 1, "control", 1), shown("x2", "b", 1, "personal", 2)])
    assert read_all(event_log).returning == []
    store([shown("x3", "a", 2, "control", 3)])
    assert read_outcomes(event_log, "r").returning == []


def test_nobody_came_back(event_log: EventLog, store: Store) -> None:
    """Two epochs of different units have nothing in common."""
    store([shown("x1", "a", 1, "control", 1), shown("x2", "b", 2, "control", 2)])
    assert read_all(event_log).returning == []


def test_sample_stands_for_very_many(
    event_log: EventLog, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 600 units that come back about 300 are looked at, and counted twice.

    With 600 pairs and room for 300 it is every unit with probability 1/2: 600 ± 4 · √600, or less,
    for the numbers of units are spread evenly.
    """
    names = [f"u{i}" for i in range(600)]
    store(
        [
            shown(f"x{epoch}{name}", name, epoch, "control", epoch)
            for epoch in (1, 2)
            for name in names
        ]
    )
    store([did(f"e{name}", PURCHASE, name, 3, price=2.0) for name in names])
    monkeypatch.setattr(returning_units, "MAX_PAIRS", 300)
    there, back = read_all(event_log).returning
    assert (there.epoch, back.epoch) == (1, 2)
    assert isinstance(there, ReturningSums)
    assert there.n_units == back.n_units == there.sum_xx == pytest.approx(600, abs=98)
    assert there.stay.n_units == there.stay.n_visits == back.stay.sum_vv == there.n_units
    assert there.n_units != 600
    assert back.n_buyers == pytest.approx(600, abs=98)
    assert back.revenue == 2 * back.n_buyers
    assert there.n_buyers == 0
