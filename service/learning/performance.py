"""How a banner does: how often it was seen and clicked, by placement, segment and day."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, TypedDict

import msgspec
from msgspec import Meta

from models.errors import NotFoundError
from service.learning.seen import Grade, grades_of, seen_and_clicked
from service.stores.banner_counts import (
    DAY_MS,
    BannerCount,
    fold_banners,
    open_banner_counts,
    read_banner_counts,
    read_banner_days,
)
from service.stores.banner_rates import (
    ALL_PLACEMENTS,
    ALL_SEGMENTS,
    ANY_FIT,
    StoredRate,
    list_periods,
    read_rates,
)
from service.stores.event_database import reported
from service.stores.event_log import EventLog

LEVEL = 0.95
JEFFREYS = 0.5
"""Clicks, and exposures without one, that the interval of a rate begins with."""


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """A click rate with a 95 % interval."""

    value: float
    low: float
    high: float


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """Exposures and what became of them."""

    exposures: Annotated[int, Meta(description="Slates with it that count as seen.")]
    clicks: Annotated[int, Meta(description="Of those, the ones it was clicked in.")]
    click_rate: Rate | None
    explored_share: Annotated[
        float | None, Meta(description="Share of the slates with it where chance had put it.")
    ]
    learned: Annotated[
        Rate | None,
        Meta(description="What ranking goes by in this hour: faded, and shrunk to what is alike."),
    ] = None


class InPlacement(Counted, frozen=True, kw_only=True):
    """In one placement."""

    placement_id: str
    counts_from: Annotated[
        Grade, Meta(description="How far a slate must have got there to count as seen.")
    ]


class InSegment(Counted, frozen=True, kw_only=True):
    """For one segment of shoppers in one placement."""

    placement_id: str
    segment: Annotated[str | None, Meta(description="Null for shoppers in none.")]


class OnDay(msgspec.Struct, frozen=True, kw_only=True):
    """On one day, UTC."""

    day: Annotated[str, Meta(description="YYYY-MM-DD")]
    assigned: Annotated[int, Meta(description="Slates with it that were served.")]
    clicks: int


class BannerPerformance(Counted, frozen=True, kw_only=True):
    """How a banner does, everywhere and apart; up to 400 days back."""

    banner_id: str
    at: datetime
    placements: tuple[InPlacement, ...]
    segments: tuple[InSegment, ...]
    days: tuple[OnDay, ...]


def read_performance(
    events: EventLog, banner_ids: Iterable[str], *, now_ms: int, period_ms: int
) -> dict[str, BannerPerformance]:
    """Read how banners do from the event store at `events`, with what is stored until now.

    A banner that was never shown has counts of zero. `period_ms` is how long published rates stand.

    Raises
    ------
    StoreError
        If a store cannot be read.
    """
    with reported(events), open_banner_counts(events) as connection:
        # A long backlog, after an upgrade, is left to the worker that counts in the background.
        fold_banners(connection, now_ms, max_chunks=1)
        counts = read_banner_counts(connection, now_ms)
        # The next period's may be there already, and nobody is served by them yet.
        begun = (one for one in list_periods(connection) if one <= now_ms // period_ms)
        period = next(begun, -1)
        learned = {
            (rate.placement_id, rate.segment, rate.banner_id): rate
            for rate in read_rates(connection, period)
            if rate.fit == ANY_FIT
        }
        days = {banner_id: read_banner_days(connection, banner_id) for banner_id in banner_ids}
    grades = grades_of(counts)
    return {
        banner_id: _performance(
            banner_id,
            [count for count in counts if count.banner_id == banner_id],
            grades=grades,
            learned=learned,
            days=tuple(
                OnDay(day=_date(day), assigned=n_assigned, clicks=n_clicked)
                for day, n_assigned, n_clicked in found
            ),
            now_ms=now_ms,
        )
        for banner_id, found in days.items()
    }


def one_performance(
    events: EventLog, banner_id: str, *, is_known: bool, now_ms: int, period_ms: int
) -> BannerPerformance:
    """Read how one banner does.

    Raises
    ------
    NotFoundError
        If it is neither configured (`is_known`) nor was ever shown.
    StoreError
        If a store cannot be read.
    """
    found = read_performance(events, [banner_id], now_ms=now_ms, period_ms=period_ms)[banner_id]
    if not is_known and not found.days:
        raise NotFoundError(
            f"banner {banner_id[:80]!r} is not configured and was never shown; "
            "list the banners with GET /v1/banners"
        )
    return found


def _performance(
    banner_id: str,
    counts: list[BannerCount],
    *,
    grades: dict[str, Grade],
    learned: dict[tuple[str, str, str], StoredRate],
    days: tuple[OnDay, ...],
    now_ms: int,
) -> BannerPerformance:
    by_placement: dict[str, list[BannerCount]] = {}
    by_segment: dict[tuple[str, str], list[BannerCount]] = {}
    for count in counts:
        by_placement.setdefault(count.placement_id, []).append(count)
        by_segment.setdefault((count.placement_id, count.segment), []).append(count)
    return BannerPerformance(
        banner_id=banner_id,
        at=datetime.fromtimestamp(now_ms / 1000, UTC),
        **_sum_up(counts, grades, learned.get((ALL_PLACEMENTS, ALL_SEGMENTS, banner_id))),
        placements=tuple(
            InPlacement(
                placement_id=placement_id,
                counts_from=grades[placement_id],
                **_sum_up(found, grades, learned.get((placement_id, ALL_SEGMENTS, banner_id))),
            )
            for placement_id, found in sorted(by_placement.items())
        ),
        segments=tuple(
            InSegment(
                placement_id=placement_id,
                segment=segment or None,
                **_sum_up(found, grades, learned.get((placement_id, segment, banner_id))),
            )
            for (placement_id, segment), found in sorted(by_segment.items())
        ),
        days=days,
    )


class _Sums(TypedDict):
    """The fields of `Counted`."""

    exposures: int
    clicks: int
    click_rate: Rate | None
    explored_share: float | None
    learned: Rate | None


def _sum_up(
    counts: list[BannerCount], grades: dict[str, Grade], learned: StoredRate | None
) -> _Sums:
    seen, clicked = seen_and_clicked(counts, grades)
    n, n_clicked = float(seen.sum()), float(clicked.sum())
    n_assigned = sum(count.n_assigned for count in counts)
    n_explored = sum(count.n_explored for count in counts)
    return _Sums(
        exposures=round(n),
        clicks=round(n_clicked),
        click_rate=None
        if not n
        else _rate(n_clicked / n, n_clicked + JEFFREYS, n - n_clicked + JEFFREYS),
        explored_share=round(n_explored / n_assigned, 6) if n_assigned else None,
        learned=None
        if learned is None
        else _rate(
            learned.rate,
            learned.rate * learned.strength,
            (1 - learned.rate) * learned.strength,
        ),
    )


def _rate(value: float, a: float, b: float) -> Rate:
    """Return a rate with the central interval of a Beta distribution."""
    from scipy.special import betaincinv  # noqa: PLC0415  # 21 MB a worker, for what few do

    tail = (1 - LEVEL) / 2
    return Rate(
        value=value, low=float(betaincinv(a, b, tail)), high=float(betaincinv(a, b, 1 - tail))
    )


def _date(day: int) -> str:
    return datetime.fromtimestamp(day * DAY_MS / 1000, UTC).date().isoformat()
