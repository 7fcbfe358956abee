"""How much of the traffic could already be personal, and when the rest may be. No I/O, no clock."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import date
from typing import Annotated

import msgspec
from msgspec import Meta

from service.insights.shares import date_of, ratio
from service.stores.rollup_days import DAY_MS
from service.stores.week_samples import WEEK_MS, Sampled, WeekSample

N_WEEKS = 13
MIN_SAMPLED = 50
"""Exposures of a week below which nothing is concluded from it."""
MIN_WEEKS = 3
MAX_AHEAD_WEEKS = 104
GOALS = (0.5, 0.8, 0.95)
NEARLY_ALL = 0.995
"""Known of those who can be known: above it the rest is not worth a forecast."""

WasKnown = Callable[[Sampled], bool]
"""Says whether the model knew a visitor from before an exposure."""


class ReadyWeek(msgspec.Struct, frozen=True, kw_only=True):
    """Seven days, as estimated from a sample of their slates; shares are of all slates."""

    first_day: date
    slates: Annotated[int, Meta(description="shown, about")]
    sampled: Annotated[int, Meta(description="of these, looked at")]
    with_id: Annotated[
        float | None, Meta(description="shown to somebody with an id, and with consent")
    ]
    could_be_personal: Annotated[
        float | None,
        Meta(description="shown to somebody who had met an item before, whatever they were dealt"),
    ]
    were_personal: Annotated[float | None, Meta(description="with the tier `personal`")]


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """When a share of the slates shown to somebody with an id could be personal."""

    share: float
    is_reached: bool
    about: Annotated[
        date | None, Meta(description="at the pace of these weeks; null if it tells of none")
    ]


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """How far the shop is on its way from static campaigns to personal ones."""

    weeks: Annotated[list[ReadyWeek], Meta(description="the oldest first; the last ends now")]
    goals: list[Goal]
    sentence: str


def readiness(samples: Sequence[WeekSample], was_known: WasKnown, now_ms: int) -> Readiness:
    """Estimate the weeks of a log from samples, and look ahead.

    Notes
    -----
    What is missing, ``gap = 1 - could_be_personal / with_id``, is taken to shrink by the same
    factor each week: a line through its logarithm over the weeks, by least squares.
    """
    weeks = [_week(one, was_known) for one in samples]
    first = next((place for place, week in enumerate(weeks) if week.slates), len(weeks))
    weeks = weeks[first:]
    goals = _goals(weeks, now_ms)
    return Readiness(weeks=weeks, goals=goals, sentence=_sentence(weeks, goals))


def _week(sample: WeekSample, was_known: WasKnown) -> ReadyWeek:
    sampled = sample.sampled
    n = len(sampled)
    with_id = [one for one in sampled if (one.user_key or one.anonymous_key) is not None]
    known = [one for one in with_id if one.has_events or was_known(one)]
    return ReadyWeek(
        first_day=date_of(sample.begin_ms // DAY_MS),
        slates=sample.n_exposures,
        sampled=n,
        with_id=ratio(len(with_id), n),
        could_be_personal=ratio(len(known), n),
        were_personal=ratio(sum(one.tier == "personal" for one in sampled), n),
    )


def _goals(weeks: Sequence[ReadyWeek], now_ms: int) -> list[Goal]:
    points = [
        (place, gap)
        for place, week in enumerate(weeks)
        if week.sampled >= MIN_SAMPLED and (gap := _gap(week)) is not None
    ]
    if not points:
        return []
    last, now_missing = points[-1]
    line = _line(points)
    goals = []
    for share in GOALS:
        is_reached = now_missing <= 1 - share
        about = None
        if line is not None and not is_reached:
            start, slope = line
            ahead = (math.log(1 - share) - start) / slope - last
            if 0 < ahead <= MAX_AHEAD_WEEKS:
                about = date_of(int(now_ms + ahead * WEEK_MS) // DAY_MS)
        goals.append(Goal(share=share, is_reached=is_reached, about=about))
    return goals


def _gap(week: ReadyWeek) -> float | None:
    """Return the share of slates with an id that could not be personal."""
    known = None
    if week.with_id and week.could_be_personal is not None:
        known = week.could_be_personal / week.with_id
    return None if known is None else max(1 - known, 1 - NEARLY_ALL)


def _line(points: Sequence[tuple[int, float]]) -> tuple[float, float] | None:
    """Fit the logarithm of what is missing over the weeks; nothing where it does not fall."""
    if len(points) < MIN_WEEKS:
        return None
    xs = [place for place, _ in points]
    ys = [math.log(gap) for _, gap in points]
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    slope = sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True)) / sum(
        (x - x_mean) ** 2 for x in xs
    )
    return None if slope >= 0 else (y_mean - slope * x_mean, slope)


def _sentence(weeks: Sequence[ReadyWeek], goals: Sequence[Goal]) -> str:
    """Say it for people."""
    newest = weeks[-1] if weeks else None
    if (
        newest is None
        or newest.sampled < MIN_SAMPLED
        or newest.could_be_personal is None
        or newest.with_id is None
    ):
        return f"Too early: fewer than {MIN_SAMPLED} slates were shown in the last week."
    said = (
        f"{newest.could_be_personal:.0%} of what was shown in the last week could be personal, "
        f"{newest.were_personal or 0:.0%} was; {1 - newest.with_id:.0%} had no id or no consent."
    )
    coming = next((goal for goal in goals if not goal.is_reached), None)
    if coming is None:
        return said
    if coming.about is None:
        return (
            f"{said} These weeks do not tell yet when it will be {coming.share:.0%} of those with "
            "an id."
        )
    return f"{said} At this pace it is {coming.share:.0%} of those with an id about {coming.about}."
