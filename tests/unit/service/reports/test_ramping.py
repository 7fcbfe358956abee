"""Ramps: the pure decision with its guardrails, and the one worker that carries it out."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.control.trail import read_page
from service.reports.ramp_runner import LEASE_MS, RampRunner
from service.reports.ramping import (
    HOUR_MS,
    REQUESTS_MS,
    Advance,
    Measured,
    RollBack,
    decide,
    find_breach,
)
from service.rollouts.definition import Rollout, Variant
from service.rollouts.ramp import (
    ErrorGuardrail,
    LatencyGuardrail,
    OutcomeGuardrail,
    Ramp,
    RampStep,
    ServiceGuardrail,
)
from service.stores.event_database import open_event_database
from service.stores.events import Batch
from service.stores.newer_sums import NewerSumsError
from service.stores.rollout_sums import ArmSums
from service.stores.service_levels import ServiceLevel
from service.stores.sqlite_events import SqliteEventStore
from service.telemetry.request_tally import BOUNDS_MS, RequestCounts, RequestTally
from tests.unit.service.control.samples import Worker
from tests.unit.service.intake.samples import slate

STEPS = (
    RampStep(share=0.01, min_hours=24),
    RampStep(share=0.25, min_hours=48, min_units=1_000),
    RampStep(share=1.0, min_hours=0),
)
CONVERSION = OutcomeGuardrail(metric="conversion", max_drop=0.02)


def ramp_of(share: float, *guardrails: object, **fields: object) -> Rollout:
    """Make a rollout on the plan 1 % → 25 % → 100 %."""
    ramp = msgspec.convert({"steps": STEPS, "guardrails": guardrails}, Ramp)
    return Rollout(key="r", share=share, ramp=ramp, **fields)  # type: ignore[arg-type]  # one dict


def arm(variant: str, n_units: int, n_buyers: int = 0) -> ArmSums:
    """Sum up units that saw one exposure each, of which some bought."""
    empty = dict.fromkeys(ArmSums._fields[2:], 0)
    counts = {"n_units": n_units, "n_buyers": n_buyers, "n_exposures": n_units}
    return ArmSums(epoch=1, variant=variant, **{**empty, **counts})


def measured(*arms: ArmSums, levels: tuple[ServiceLevel, ...] = ()) -> Measured:
    """Say what happened since 0 ms."""
    return Measured(0, arms, levels)


@pytest.mark.parametrize(
    ("share", "hours", "n_units", "share_after"),
    [
        (0.0, 0, 0, 0.01),
        (0.01, 23.9, 9_999, None),
        (0.01, 24, 0, 0.25),
        (0.1, 24, 0, 0.25),
        (0.25, 48, 999, None),
        (0.25, 47, 1_000, None),
        (0.25, 48, 1_000, 1.0),
        (1.0, 999, 999_999, None),
    ],
)
def test_step_is_left_after_its_hours_and_units(
    share: float, hours: float, n_units: int, share_after: float | None
) -> None:
    """Both are needed; before the first step there is nothing to wait for, after the last none."""
    move = decide(ramp_of(share), measured(arm("control", n_units)), int(hours * HOUR_MS))
    assert (move.step.share if isinstance(move, Advance) else move) == share_after


@pytest.mark.parametrize("fields", [{"killed": True}, {"enabled": False}])
def test_rollout_that_is_off_does_not_climb(fields: dict[str, bool]) -> None:
    """A person has switched it off, and only a person switches it on."""
    assert decide(ramp_of(0.01, **fields), measured(), 999 * HOUR_MS) is None


def test_sure_drop_is_rolled_back_at_once() -> None:
    """10 % against 8 % of 20,000 units each is surely below -2 %: back, without waiting."""
    drop = measured(arm("control", 20_000, 2_000), arm("personal", 20_000, 1_600))
    move = decide(ramp_of(0.01, CONVERSION), drop, 1)
    assert isinstance(move, RollBack)
    assert move.reason.startswith("conversion of 'personal' is -20.0% beside control")
    assert isinstance(decide(ramp_of(1.0, CONVERSION), drop, 1), RollBack)


@pytest.mark.parametrize(("n_units", "n_buyers"), [(20_000, 1_980), (200, 10), (99, 0)])
def test_what_may_be_chance_is_no_breach(n_units: int, n_buyers: int) -> None:
    """A drop inside the margin, or one of too few units, does not stop the ramp."""
    found = measured(arm("control", n_units, n_units // 10), arm("personal", n_units, n_buyers))
    assert isinstance(decide(ramp_of(0.01, CONVERSION), found, 24 * HOUR_MS), Advance)


@pytest.mark.parametrize(
    ("level", "is_breached"),
    [
        (ServiceLevel("personal", 200, 3, 0), True),
        (ServiceLevel("personal", 200, 2, 0), False),
        (ServiceLevel("personal", 199, 199, 0), False),
        (ServiceLevel("control", 1_000, 1_000, 0), False),
    ],
)
def test_fallbacks_above_the_bound_are_a_breach(level: ServiceLevel, is_breached: bool) -> None:
    """More than 1 % of at least 200 exposures of a treatment; control's own do not count."""
    rail = ServiceGuardrail(metric="degraded_share", max_share=0.01)
    move = decide(ramp_of(0.01, rail), measured(levels=(level,)), 0)
    assert isinstance(move, RollBack) is is_breached


@pytest.mark.parametrize(("n_units", "is_breached"), [(127, False), (1_999, False), (2_000, True)])
def test_arm_where_nobody_buys_is_stopped_when_it_is_no_chance(
    n_units: int, is_breached: bool
) -> None:
    """Beside 1 % of control, none of 127 may well be; none of 2,000 is not."""
    found = measured(arm("control", 40_000, 400), arm("personal", n_units, 0))
    move = decide(ramp_of(0.05, CONVERSION), found, 0)
    assert isinstance(move, RollBack) is is_breached


@pytest.mark.parametrize(
    ("rate", "share", "n_units"),
    [(0.02, 0.05, 20_000), (0.01, 0.05, 20_000), (0.005, 0.05, 20_000), (0.02, 0.01, 100_000)],
)
def test_small_shares_do_not_roll_back_by_chance(rate: float, share: float, n_units: int) -> None:
    """A shop's usual ramp: few buyers in few units. Of 300 without effect, at most 5 % go back."""
    rng = np.random.default_rng(22)
    ramp = Ramp(steps=STEPS, guardrails=(CONVERSION,))
    steps = [round(n_units * part / 100) for part in (1 - share, share)]
    n_alarms = 0
    for _ in range(300):
        buyers = [rng.binomial(step, rate, 100).cumsum() for step in steps]
        n_alarms += any(
            find_breach(
                ramp, measured(arm("control", i * steps[0], c), arm("personal", i * steps[1], t))
            )
            for i, (c, t) in enumerate(zip(*buyers, strict=True), 1)
        )
    assert n_alarms / 300 < 0.05


def test_false_alarms_stay_below_their_probability() -> None:
    """400 ramps without any effect, each looked at 40 times over three metrics' worth of tests:
    at most 5 % are ever rolled back. A drop of 30 % is found in nearly all of them."""
    rng = np.random.default_rng(7)
    looks = np.geomspace(200, 20_000, 40).astype(int)
    ramp = Ramp(steps=STEPS, guardrails=(OutcomeGuardrail(metric="conversion"),))

    def share_rolled_back(rate: float, n_ramps: int) -> float:
        n_alarms = 0
        for _ in range(n_ramps):
            control = np.cumsum(rng.random(looks[-1]) < 0.1)[looks - 1]
            treated = np.cumsum(rng.random(looks[-1]) < rate)[looks - 1]
            n_alarms += any(
                find_breach(ramp, measured(arm("control", n, c), arm("personal", n, t)))
                for n, c, t in zip(looks.tolist(), control.tolist(), treated.tolist(), strict=True)
            )
        return n_alarms / n_ramps

    assert share_rolled_back(0.1, 400) <= 0.05
    assert share_rolled_back(0.07, 40) >= 0.95


def test_steps_have_to_grow() -> None:
    """A plan that goes down is refused with both shares."""
    steps = [{"share": 0.5, "min_hours": 1}, {"share": 0.25, "min_hours": 1}]
    with pytest.raises(msgspec.ValidationError, match=r"ramp step 0\.25 comes after 0\.5"):
        msgspec.convert({"steps": steps}, Ramp)


@given(st.floats(0, 1))
def test_next_step_is_above_and_the_present_one_not(share: float) -> None:
    """Wherever a share stands, the plan leads up."""
    ramp = Ramp(steps=STEPS)
    following, present = ramp.next_after(share), ramp.step_at(share)
    assert following is None or following.share > share
    assert present is None or present.share <= share


class Fleet:
    """Two workers on one store, with a hand on their clock."""

    def __init__(self, home: Path) -> None:
        self.now_ms = 10_000
        self.worker = Worker(home)
        self.events = SqliteEventStore(open_event_database(home), opened_ms=1)
        self.pages = [RequestTally(), RequestTally()]
        self.runners = [
            RampRunner(
                self.worker.store,
                self.worker.plane,
                home / "events.sqlite",
                holder=holder,
                now_ms=lambda: self.now_ms,
                pages=pages,
            )
            for holder, pages in zip(("one", "other"), self.pages, strict=True)
        ]

    def keep_minutes(self) -> None:
        """Let both workers write down what they counted."""
        for runner in self.runners:
            runner.keep(runner.take_requests())

    def rollout(self) -> Rollout:
        """Read the rollout."""
        found = self.worker.plane.find("rollout", "r")
        assert isinstance(found, Rollout)
        return found

    def newest_change(self) -> tuple[str, str | None]:
        """Say who made the newest change, and why."""
        change = read_page(self.worker.store, before=None, limit=1).changes[0]
        return change.actor, change.note


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """Open a fleet."""
    opened = Fleet(tmp_path)
    yield opened
    opened.worker.close()
    opened.events.close(9)


def test_worker_of_an_older_release_leaves_ramps_to_another(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot read the sums that guardrails are held against; whoever can need not wait."""

    def refuse(*_: object) -> None:
        raise NewerSumsError("rollup", 2, 1)

    fleet.worker.put("rollout", "r", ramp_of(0.0))
    with monkeypatch.context() as older:
        older.setattr("service.reports.ramp_runner.read_outcomes", refuse)
        with pytest.raises(NewerSumsError):
            fleet.runners[0].run_once()
    assert fleet.runners[1].run_once() == 1


def test_exactly_one_worker_climbs(fleet: Fleet) -> None:
    """The first that asks has the lease; when it is gone the other takes over. All is audited."""
    fleet.worker.put("rollout", "r", ramp_of(0.0))
    assert [runner.run_once() for runner in fleet.runners] == [1, 0]
    assert (fleet.rollout().share, fleet.rollout().epoch) == (0.01, 2)
    assert fleet.newest_change() == ("ramp", "ramp to 0.01")
    assert fleet.runners[0].run_once() == 0
    fleet.now_ms += 25 * HOUR_MS
    assert fleet.runners[1].run_once() == 1
    assert fleet.rollout().share == 0.25
    assert fleet.runners[0].run_once() == 0


def test_lease_holds_until_it_ends(fleet: Fleet) -> None:
    """A worker that died keeps the others out for three minutes, no longer."""
    fleet.worker.put("rollout", "r", ramp_of(0.0))
    assert fleet.runners[0].run_once() == 1
    fleet.worker.put("rollout", "r", ramp_of(0.0))
    fleet.now_ms += LEASE_MS - 1
    assert fleet.runners[1].run_once() == 0
    fleet.now_ms += 1
    assert fleet.runners[1].run_once() == 1


def test_lease_of_a_later_time_is_no_hindrance(fleet: Fleet) -> None:
    """The clock steps back an hour after a worker died: the next one waits for nothing."""
    fleet.worker.put("rollout", "r", ramp_of(0.0))
    assert fleet.runners[0].run_once() == 1
    fleet.worker.put("rollout", "r", ramp_of(0.0))
    fleet.now_ms -= HOUR_MS
    with fleet.worker.store.transaction() as transaction:
        assert transaction.leases.take("ramp", "next", now_ms=fleet.now_ms, for_ms=LEASE_MS)


def test_lease_makes_no_new_configuration(fleet: Fleet) -> None:
    """What is kept for the present configuration stays when nothing but a lease was written."""
    fleet.worker.put("rollout", "r", ramp_of(0.01))
    before = fleet.worker.current.get()
    assert fleet.runners[0].run_once() == 0
    assert not fleet.worker.current.refresh()
    assert fleet.worker.current.get() is before


def test_breach_puts_everyone_into_control(fleet: Fleet) -> None:
    """300 exposures of which 30 fell back, where 5 % may: killed, with the reason in the trail."""
    rail = ServiceGuardrail(metric="degraded_share", max_share=0.05)
    fleet.worker.put("rollout", "r", ramp_of(0.25, rail, variants=(Variant(key="personal"),)))
    exposures = [
        slate(
            f"e{n}",
            unit_key=f"u{n}",
            variant="personal",
            degraded="no_model" if n < 30 else None,
        )
        for n in range(300)
    ]
    fleet.events.commit(Batch(exposures=exposures))
    assert fleet.runners[0].run_once() == 1
    assert (fleet.rollout().killed, fleet.rollout().share) == (True, 0.25)
    actor, note = fleet.newest_change()
    assert actor == "ramp"
    assert note is not None
    assert note.startswith("rolled back: degraded_share of 'personal' is 10.0%")
    assert fleet.runners[0].run_once() == 0


def test_schedule_that_has_not_begun_holds_the_ramp(fleet: Fleet) -> None:
    """Nothing climbs before `starts_at`."""
    later = datetime(1970, 1, 2, tzinfo=UTC)
    fleet.worker.put("rollout", "r", ramp_of(0.0, starts_at=later))
    assert fleet.runners[0].run_once() == 0
    fleet.now_ms = 25 * HOUR_MS
    assert fleet.runners[0].run_once() == 1


@pytest.mark.parametrize(
    ("rail", "reason"),
    [
        (LatencyGuardrail(max_p99_ms=80), "10.0% of the newest 300 requests to the service took"),
        (ErrorGuardrail(max_share=0.01), "10.0% of the newest 300 requests to the service failed"),
    ],
)
def test_bad_answers_of_all_workers_roll_back(fleet: Fleet, rail: object, reason: str) -> None:
    """150 requests each say nothing; of both together 30 are slow and fail: killed, and why."""
    fleet.worker.put("rollout", "r", ramp_of(0.25, rail))
    fleet.now_ms += 60_000
    fleet.keep_minutes()
    for pages in fleet.pages:
        for n in range(150):
            is_bad = n < 15
            pages.count("POST", "/v1/serve", 500 if is_bad else 200, 0.2 if is_bad else 0.01)
    fleet.now_ms += 60_000
    first, second = fleet.runners
    first.keep(first.take_requests())
    assert first.run_once() == 0
    second.keep(second.take_requests())
    assert first.run_once() == 1
    assert fleet.rollout().killed
    _, note = fleet.newest_change()
    assert note is not None
    assert note.startswith(f"rolled back: {reason}")


def test_requests_before_the_step_or_long_ago_do_not_count(fleet: Fleet) -> None:
    """An hour of failures that had begun before the step, then a quarter of an hour of silence."""
    fleet.now_ms = 0
    for pages in fleet.pages:
        pages.begin(0)
        for _ in range(500):
            pages.count("POST", "/v1/serve", 500, 0.01)
    fleet.worker.put("rollout", "r", ramp_of(0.25, ErrorGuardrail(max_share=0.01)))
    fleet.now_ms = 60_000
    fleet.keep_minutes()
    assert fleet.runners[0].run_once() == 0
    for _ in range(500):
        fleet.pages[0].count("POST", "/v1/serve", 500, 0.01)
    fleet.now_ms = 120_000
    fleet.keep_minutes()
    fleet.now_ms = 60_000 + REQUESTS_MS + 1
    assert fleet.runners[0].run_once() == 0
    fleet.now_ms -= 1
    assert fleet.runners[0].run_once() == 1


def test_requests_at_their_limit_roll_back_almost_never() -> None:
    """400 quarters of an hour in which just 1 % fails, each looked at 15 times; 3 % is seen."""
    rng = np.random.default_rng(11)
    ramp = Ramp(steps=STEPS, guardrails=(ErrorGuardrail(max_share=0.01),))

    def share_rolled_back(rate: float, n_windows: int) -> float:
        n_alarms = 0
        for _ in range(n_windows):
            errors = np.cumsum(rng.binomial(400, rate, 15)).tolist()
            looks = [
                RequestCounts(0, 1, (400 * n, *[0] * len(BOUNDS_MS)), error)
                for n, error in enumerate(errors, start=1)
            ]
            n_alarms += any(find_breach(ramp, Measured(0, (), (), look)) for look in looks)
        return n_alarms / n_windows

    assert share_rolled_back(0.01, 400) <= 0.01
    assert share_rolled_back(0.03, 40) >= 0.95
