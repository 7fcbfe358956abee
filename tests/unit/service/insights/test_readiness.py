"""How much could be personal, from samples made by hand, and when the rest may be."""

from datetime import date
from pathlib import Path

import pytest

from service.insights.readiness import Readiness, readiness
from service.insights.shares import date_of
from service.stores.event_database import open_event_database
from service.stores.events import Batch
from service.stores.sqlite_events import SqliteEventStore
from service.stores.week_samples import MAX_SAMPLED, WEEK_MS, Sampled, WeekSample, sample_weeks
from tests.unit.service.intake.samples import slate, view

DAY_MS = 86_400_000
NOW_MS = 100 * DAY_MS


def week(place: int, *, known: int, of: int, nobody: int = 0, personal: int = 0) -> WeekSample:
    """Make the sample of a week, counted back from now, in which so many had events before."""
    begin_ms = NOW_MS - place * WEEK_MS
    people = [
        Sampled(
            begin_ms,
            "u",
            None,
            "personal" if number < personal else "static",
            has_events=number < known,
        )
        for number in range(of)
    ]
    strangers = [Sampled(begin_ms, None, None, "popular", has_events=False)] * nobody
    return WeekSample(begin_ms, 10 * (of + nobody), people + strangers)


def of_weeks(*samples: WeekSample) -> Readiness:
    """Estimate without a model."""
    return readiness(samples, lambda _: False, NOW_MS)


def test_shares_are_of_all_slates() -> None:
    """Of 100 slates 80 went to people with an id, 60 of them known before, 20 got it personal."""
    [one] = of_weeks(week(1, known=60, of=80, nobody=20, personal=20)).weeks
    assert (one.with_id, one.could_be_personal, one.were_personal) == (0.8, 0.6, 0.2)
    assert (one.slates, one.sampled, one.first_day) == (1_000, 100, date_of(93))


def test_what_is_missing_halves_every_week() -> None:
    """Gaps of 1/2, 1/4, 1/8: 5 % is log2(0.125 / 0.05) = 1.32 weeks away, 9.25 days."""
    found = of_weeks(
        week(3, known=40, of=80, nobody=20),
        week(2, known=60, of=80, nobody=20),
        week(1, known=70, of=80, nobody=20),
    )
    assert [(goal.share, goal.is_reached, goal.about) for goal in found.goals] == [
        (0.5, True, None),
        (0.8, True, None),
        (0.95, False, date_of(109)),
    ]
    assert found.sentence == (
        "70% of what was shown in the last week could be personal, 0% was; 20% had no id or no "
        "consent. At this pace it is 95% of those with an id about 1970-04-20."
    )
    assert date_of(109) == date(1970, 4, 20)


@pytest.mark.parametrize(
    "samples",
    [
        [week(2, known=20, of=80), week(1, known=40, of=80)],
        [week(3, known=40, of=80), week(2, known=40, of=80), week(1, known=36, of=80)],
        [week(3, known=2, of=8), week(2, known=4, of=8), week(1, known=20, of=80)],
    ],
)
def test_weeks_that_tell_of_no_pace_give_no_date(samples: list[WeekSample]) -> None:
    """Two weeks are too few, so are small ones, and what does not shrink has no end."""
    found = of_weeks(*samples)
    assert {goal.about for goal in found.goals} == {None}
    coming = next(goal.share for goal in found.goals if not goal.is_reached)
    assert f"do not tell yet when it will be {coming:.0%} of those with an id." in found.sentence


def test_shop_without_traffic_is_too_early() -> None:
    """Weeks before the first slate are left out; without any, nothing is concluded."""
    found = of_weeks(*(WeekSample(NOW_MS - place * WEEK_MS, 0, []) for place in (3, 2, 1)))
    assert (found.weeks, found.goals) == ([], [])
    assert found.sentence.startswith("Too early")


def test_model_may_know_who_sent_no_event() -> None:
    """Whoever was in the training files counts as known."""
    sample = [week(1, known=0, of=80)]
    [one] = readiness(sample, lambda one: one.user_key == "u", NOW_MS).weeks
    assert one.could_be_personal == 1.0


def test_sample_knows_what_was_known_then(tmp_path: Path) -> None:
    """An event counts from the next exposure on, by either id; one of a crawler never does."""
    path = open_event_database(tmp_path)
    store = SqliteEventStore(path, opened_ms=1)
    at_ms = NOW_MS - 5_000
    events = [
        view("v1", at_ms=at_ms),
        view("v2", at_ms=at_ms, user_key=None, anonymous_key="a"),
        view("v3", at_ms=at_ms, user_key="bot", flags=4),
    ]
    keys = [("u", None), ("x", "a"), ("bot", None), (None, None)]
    slates = [
        slate(f"{moment}{user}{visitor}", at_ms=moment, user_key=user, anonymous_key=visitor)
        for moment in (NOW_MS - 9_000, NOW_MS - 1_000)
        for user, visitor in keys
    ]
    robot = slate("robot", at_ms=NOW_MS - 1_000, reason="ROBOT")
    store.commit(Batch(exposures=[*slates, robot], events=events))
    store.close(2)
    before, newest = sample_weeks(path, now_ms=NOW_MS, n_weeks=2)
    assert (before.n_exposures, before.sampled) == (0, [])
    assert (newest.begin_ms, newest.n_exposures) == (NOW_MS - WEEK_MS, 9)
    assert [one.has_events for one in newest.sampled] == [*[False] * 4, True, True, False, False]


def test_sample_is_even_and_bounded(tmp_path: Path) -> None:
    """Of three times as many exposures every third is taken."""
    path = open_event_database(tmp_path)
    store = SqliteEventStore(path, opened_ms=1)
    n = 3 * MAX_SAMPLED
    slates = [slate(f"e{place}", at_ms=NOW_MS - n + place) for place in range(n)]
    store.commit(Batch(exposures=slates))
    store.close(2)
    [found] = sample_weeks(path, now_ms=NOW_MS, n_weeks=1)
    assert found.n_exposures == n
    assert [one.at_ms for one in found.sampled] == list(range(NOW_MS - n, NOW_MS, 3))
