"""The figures of a period as values: sums by day in, insights out. No I/O, no clock."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date
from typing import Annotated

import msgspec
from msgspec import Meta

from models.events import InteractionKind
from models.manifest import Manifest
from service.insights.comparison import Comparison
from service.insights.readiness import Readiness
from service.insights.shares import date_of, ratio
from service.reports.catalogue import effective_size
from service.reports.funnel import Step, steps_of
from service.stores.days import MAX_CHANNELS, OTHER_CHANNELS, DaySums
from service.stores.rollout_sums import STAGES

_SERVED, _CLICK = 15, int(InteractionKind.CLICK)


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """What was bought in a period."""

    orders: int
    value: Annotated[float, Meta(description="sum of quantity times price, before refunds")]
    refunded: Annotated[float, Meta(description="value of the lines taken back")]
    average_order_value: Annotated[
        float | None, Meta(description="of orders with a known value; null without one")
    ]
    items_per_order: Annotated[float | None, Meta(description="units, not lines")]
    buyers: Annotated[int, Meta(description="distinct persons, by pseudonym")]
    orders_per_buyer: float | None
    repeat_share: Annotated[
        float | None, Meta(description="share of the buyers with a second order in the period")
    ]


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """One UTC day."""

    date: date
    served: Annotated[int, Meta(description="exposures, so slates shown and not items")]
    clicked: Annotated[int, Meta(description="of these exposures, clicked whenever")]
    views: int
    orders: int
    value: float
    average_order_value: float | None
    items_per_order: float | None


class PlacementFunnel(msgspec.Struct, frozen=True, kw_only=True):
    """How far the exposures of one placement got."""

    placement_id: str
    steps: list[Step]


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """One channel; empty where none was named."""

    channel: Annotated[
        str,
        Meta(description=f"or {OTHER_CHANNELS}, for all but the {MAX_CHANNELS} busiest together"),
    ]
    interactions: int
    share: Annotated[float, Meta(description="of all interactions")]
    orders: int
    value: float
    average_order_value: float | None


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the catalogue the placements showed."""

    items: Annotated[int, Meta(description="in the catalogue of the live model")]
    shown: Annotated[int, Meta(description="of these, shown at least once")]
    share: float | None
    effective: Annotated[int, Meta(description="items that carry 90 % of what was shown")]


class SegmentSize(msgspec.Struct, frozen=True, kw_only=True):
    """A segment as one model version found it."""

    version: str
    trained_at_ms: int
    segment: str
    users: int
    share: Annotated[float | None, Meta(description="of the users of that version")]


class Insights(msgspec.Struct, frozen=True, kw_only=True):
    """The shop over a period whose last day, today, is not over; and how that changed."""

    first_day: date
    last_day: Annotated[date, Meta(description="today so far, so compare with `compared`")]
    orders: Orders
    compared: Comparison
    days: list[Day]
    funnel: list[Step]
    placements: list[PlacementFunnel]
    channels: list[Channel]
    coverage: Coverage
    segments: Annotated[
        list[SegmentSize], Meta(description="by version, oldest first, and priority")
    ]
    readiness: Annotated[
        Readiness,
        Meta(description="how much could already be personal; of the last 13 weeks, whatever days"),
    ]
    waiting: Annotated[
        int, Meta(description="stored rows that are not counted yet; 0 but after a restart")
    ]


def sum_orders(sums: DaySums) -> Orders:
    """Add up what was bought."""
    n = sum(day.n for day in sums.orders)
    value = sum(day.value for day in sums.orders)
    return Orders(
        orders=n,
        value=value,
        refunded=sum(day.value for day in sums.events if day.kind == InteractionKind.REFUND),
        average_order_value=ratio(value, sum(day.n_priced for day in sums.orders)),
        items_per_order=ratio(sum(day.n_units for day in sums.orders), n),
        buyers=sums.buyers.n,
        orders_per_buyer=ratio(sums.buyers.n_orders, sums.buyers.n),
        repeat_share=ratio(sums.buyers.n_repeat, sums.buyers.n),
    )


def by_day(sums: DaySums, first_day: int, last_day: int) -> list[Day]:
    """Line up the days of a period, those without anything too."""
    stages: Counter[tuple[int, int]] = Counter()
    for stage in sums.stages:
        stages[stage.day, stage.stage] += stage.n
    views: Counter[int] = Counter()
    for event in sums.events:
        if event.kind == InteractionKind.VIEW:
            views[event.day] += event.n
    bought: defaultdict[int, list[float]] = defaultdict(lambda: [0.0] * 4)
    for order in sums.orders:
        for place, part in enumerate((order.n, order.n_priced, order.n_units, order.value)):
            bought[order.day][place] += part
    days = []
    for day in range(first_day, last_day + 1):
        n, n_priced, n_units, value = bought[day]
        days.append(
            Day(
                date=date_of(day),
                served=stages[day, _SERVED],
                clicked=stages[day, _CLICK],
                views=views[day],
                orders=int(n),
                value=value,
                average_order_value=ratio(value, n_priced),
                items_per_order=ratio(n_units, n),
            )
        )
    return days


def funnels(sums: DaySums) -> tuple[list[Step], list[PlacementFunnel]]:
    """Count how far exposures got, over all and by placement, the busiest first."""
    everywhere: Counter[int] = Counter()
    by_placement: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for stage in sums.stages:
        everywhere[stage.stage] += stage.n
        by_placement[stage.placement_id][stage.stage] += stage.n
    busiest = sorted(by_placement, key=lambda name: (-by_placement[name][_SERVED], name))
    return steps_of(everywhere), [
        PlacementFunnel(placement_id=name, steps=steps_of(by_placement[name])) for name in busiest
    ]


def channels(sums: DaySums) -> list[Channel]:
    """Add up interactions and orders by channel, the busiest first, and all others last."""
    counts: Counter[str] = Counter()
    for event in sums.events:
        counts[event.channel] += event.n
    bought: defaultdict[str, list[float]] = defaultdict(lambda: [0.0] * 3)
    for order in sums.orders:
        for place, part in enumerate((order.n, order.n_priced, order.value)):
            bought[order.channel][place] += part
    total = counts.total()
    return [
        Channel(
            channel=name,
            interactions=n,
            share=n / total,
            orders=int(bought[name][0]),
            value=bought[name][2],
            average_order_value=ratio(bought[name][2], bought[name][1]),
        )
        for name, n in sorted(
            counts.items(), key=lambda pair: (pair[0] == OTHER_CHANNELS, -pair[1], pair[0])
        )
    ]


def coverage(n_items: int, n_shown: dict[str, int], known: Iterable[bool]) -> Coverage:
    """Compare what was shown with the catalogue; `known` says of each shown item if it is in it."""
    shown = sum(known)
    return Coverage(
        items=n_items,
        shown=shown,
        share=ratio(shown, n_items),
        effective=effective_size(n_shown.values()),
    )


def segment_sizes(manifests: Iterable[Manifest]) -> list[SegmentSize]:
    """List what each version found, the oldest version first."""
    ordered = sorted(manifests, key=lambda manifest: (manifest.created_at_ms, manifest.version))
    return [
        SegmentSize(
            version=manifest.version,
            trained_at_ms=manifest.created_at_ms,
            segment=key,
            users=summary.users,
            share=ratio(summary.users, manifest.counts.get("users", 0)),
        )
        for manifest in ordered
        for key, summary in manifest.segments.items()
    ]


assert STAGES[_SERVED] == "served"
