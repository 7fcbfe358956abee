"""The shopper view: every part of it as a value, and how stored rows become one. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from models.events import InteractionKind
from service.exposure import Shown
from service.serve.page import Slate
from service.stores.person_reads import (
    MAX_EVENTS,
    NO_SLATES,
    PersonEvent,
    PersonExposure,
    PersonKind,
    Slates,
    Unit,
)
from service.stores.rollout_sums import STAGES
from service.stores.rollup_days import DAY_MS

SHOWN_EVENTS = 30
SHOWN_ORDERS = 10
SHOWN_EXPOSURES = 20

Title = Annotated[str | None, Meta(description="null where the model does not know the item")]


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """One interaction."""

    at_ms: int
    event: str
    item_id: str
    title: Title
    channel: str | None
    platform: str | None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an order."""

    item_id: str
    title: Title
    quantity: float
    price: float | None
    is_refund: bool


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order; lines without a number are one order where they were bought on one UTC day."""

    order_id: str | None
    at_ms: int
    value: Annotated[float, Meta(description="of the lines with a price, refunds taken off")]
    items: Annotated[float, Meta(description="units bought, not lines")]
    lines: list[Line]


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """The person in numbers."""

    events: dict[str, int]
    slates: Annotated[int, Meta(description="what they were shown, looked at or not")]
    is_cut: Annotated[bool, Meta(description=f"only the newest {MAX_EVENTS} events are counted")]
    first_ms: Annotated[int | None, Meta(description="of their events and slates")]
    last_ms: int | None
    orders: int
    value: float
    average_order_value: float | None
    items_per_order: float | None
    channels: Annotated[dict[str, int], Meta(description="interactions by channel")]


class SegmentOf(msgspec.Struct, frozen=True, kw_only=True):
    """A segment that the person is in."""

    key: str
    source: Annotated[str, Meta(description="`model` or `list`")]
    priority: Annotated[
        int | None, Meta(description="1 is the highest of the model's; null for a list")
    ]
    users: Annotated[int | None, Meta(description="how many the model put into it")]


class Affinity(msgspec.Struct, frozen=True, kw_only=True):
    """How near a category is."""

    category: str
    nearness: Annotated[
        float | None,
        Meta(description="cosine of the person's factor and the mean of the category's; -1 to 1"),
    ]
    history_share: Annotated[float, Meta(description="of the weight of the person's history")]


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """What a rollout gives the person now."""

    key: str
    variant: str
    reason: str
    detail: str | None
    epoch: int
    share: float


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One slate that was shown, and how far it got."""

    at_ms: int
    placement_id: str
    kind: str
    recipe: str
    tier: str
    rollout_key: str | None
    variant: str | None
    reason: str | None
    shown: Annotated[list[str], Meta(description="ids by position")]
    titles: list[Title]
    outcomes: Annotated[list[str], Meta(description="stages it reached after being served")]
    taken: Annotated[list[str], Meta(description="ids that were clicked, put by or bought")]


class Knowledge(msgspec.Struct, frozen=True, kw_only=True):
    """What the live model knows of the person."""

    version: str | None
    is_known: Annotated[bool, Meta(description="whether it was trained on them")]
    history_items: Annotated[int, Meta(description="distinct items that speak, newest ones too")]
    purchased_items: int


class ShopperView(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one customer. It names them by pseudonym only."""

    kind: PersonKind
    pseudonym: str
    devices: Annotated[list[str], Meta(description="pseudonyms of devices that were nobody else's")]
    unit: Annotated[str, Meta(description="pseudonym that rollouts deal")]
    is_known: Annotated[bool, Meta(description="whether anything is kept of them")]
    story: Annotated[list[str], Meta(description="the same in a few sentences")]
    totals: Totals
    events: list[Happening]
    orders: list[Order]
    segments: list[SegmentOf]
    categories: list[Affinity]
    rollouts: list[Arm]
    exposures: list[Seen]
    model: Knowledge
    now: Annotated[list[Slate], Meta(description="what every placement would show now")]


def happenings(events: Iterable[PersonEvent], titles: Mapping[str, str]) -> list[Happening]:
    """List events as they stand."""
    return [
        Happening(
            at_ms=event.at_ms,
            event=InteractionKind(event.kind).event,
            item_id=event.item_id,
            title=titles.get(event.item_id),
            channel=event.channel,
            platform=event.platform,
        )
        for event in events
    ]


def collect_orders(events: Iterable[PersonEvent], titles: Mapping[str, str]) -> list[Order]:
    """Put lines together into orders, the newest first; a refund belongs to the order it names.

    What a browser says of an order that the shop's server told of, too, is left out.
    """
    lines: dict[str, list[PersonEvent]] = {}
    for event in events:
        if event.kind in (InteractionKind.PURCHASE, InteractionKind.REFUND):
            key = f"day:{event.at_ms // DAY_MS}" if event.order_id is None else event.order_id
            lines.setdefault(key, []).append(event)
    orders = [
        _order(_told(group), titles)
        for group in lines.values()
        if any(line.kind == InteractionKind.PURCHASE for line in group)
    ]
    return sorted(orders, key=lambda order: order.at_ms, reverse=True)


def _told(lines: Sequence[PersonEvent]) -> Sequence[PersonEvent]:
    numbered = [line for line in lines if line.order_id and line.kind == InteractionKind.PURCHASE]
    if not any(line.by_server for line in numbered):
        return lines
    return [line for line in lines if line.by_server or line.kind == InteractionKind.REFUND]


def _order(lines: Sequence[PersonEvent], titles: Mapping[str, str]) -> Order:
    bought = [line for line in lines if line.kind == InteractionKind.PURCHASE]
    return Order(
        order_id=bought[0].order_id,
        at_ms=min(line.at_ms for line in bought),
        value=sum(
            (-1 if line.kind == InteractionKind.REFUND else 1) * (line.price or 0) * _units(line)
            for line in lines
        ),
        items=sum(map(_units, bought)),
        lines=[
            Line(
                item_id=line.item_id,
                title=titles.get(line.item_id),
                quantity=_units(line),
                price=line.price,
                is_refund=line.kind == InteractionKind.REFUND,
            )
            for line in lines
        ],
    )


def _units(line: PersonEvent) -> float:
    return 1.0 if line.quantity is None else line.quantity


def add_up(
    events: Sequence[PersonEvent], orders: Sequence[Order], slates: Slates = NO_SLATES
) -> Totals:
    """Count a person's events, the newest first, orders and slates."""
    times_ms = [event.at_ms for event in (*events[:1], *events[-1:])]
    times_ms += [at_ms for at_ms in (slates.first_ms, slates.last_ms) if at_ms is not None]
    kinds = Counter(event.kind for event in events)
    value = sum(order.value for order in orders)
    n_priced = sum(order.value > 0 for order in orders)
    return Totals(
        events={kind.event: kinds[kind] for kind in InteractionKind if kinds[kind]},
        is_cut=len(events) >= MAX_EVENTS,
        slates=slates.n,
        first_ms=min(times_ms, default=None),
        last_ms=max(times_ms, default=None),
        orders=len(orders),
        value=value,
        average_order_value=value / n_priced if n_priced else None,
        items_per_order=sum(order.items for order in orders) / len(orders) if orders else None,
        channels=dict(Counter(event.channel or "" for event in events).most_common()),
    )


def join_outcomes(
    exposures: Iterable[PersonExposure],
    shown: Mapping[str, Sequence[Shown]],
    reached: Mapping[int, Iterable[int]],
    events: Iterable[PersonEvent],
    titles: Mapping[str, str],
) -> list[Seen]:
    """Say of each exposure how far it got, by the running sums and by the events that name it.

    `shown` is by exposure id, `reached` by the exposure's number.
    """
    named: dict[str, list[PersonEvent]] = {}
    for event in events:
        if event.exposure_id is not None and event.kind != InteractionKind.REFUND:
            named.setdefault(event.exposure_id, []).append(event)
    found = []
    for one in exposures:
        followed = named.get(one.exposure_id, [])
        stages = {*reached.get(one.seq, ()), *(event.kind for event in followed)}
        ids = [item.id for item in shown[one.exposure_id]]
        found.append(
            Seen(
                at_ms=one.at_ms,
                placement_id=one.placement_id,
                kind=one.kind,
                recipe=one.recipe,
                tier=one.tier,
                rollout_key=one.rollout_key,
                variant=one.variant,
                reason=one.reason,
                shown=ids,
                titles=[titles.get(item_id) for item_id in ids],
                outcomes=[name for stage, name in STAGES.items() if stage in stages],
                taken=[item_id for item_id in ids if any(e.item_id == item_id for e in followed)],
            )
        )
    return found


def unit_key(key: str, unit: Unit | None) -> str:
    """Return the pseudonym that rollouts deal."""
    return key if unit is None else unit.key
