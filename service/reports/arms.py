"""What the units of one variant saw and did, as a report tells it: of an epoch, or of all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from models.vocabulary import Vocabulary
from service.reports.catalogue import count_known, effective_size
from service.reports.comparison import Stays
from service.reports.stays import Stay, StaySums, add_stays, show_stay
from service.rollouts.definition import CONTROL
from service.stores.rollout_sums import ArmSums, RolloutSums

Share = Annotated[float, Meta(description="0 to 1")]


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """What the units of one variant saw and did."""

    variant: str
    declared_share: Annotated[Share | None, Meta(description="of all units; null over epochs")]
    units: Annotated[int, Meta(description="distinct units")]
    crossed_units: Annotated[
        int,
        Meta(
            description="units that saw another variant in an epoch, or whose person is dealt "
            "another one as another unit"
        ),
    ]
    crossed_share: Annotated[Share | None, Meta(description="crossed_units / units")]
    exposures: int
    clicked_exposures: Annotated[int, Meta(description="exposures with at least one click")]
    clicks_named: Annotated[int, Meta(description="clicks that name their exposure")]
    clicks_joined: Annotated[
        int, Meta(description="clicks joined to the last exposure of the item within 7 days")
    ]
    click_through: Annotated[Share | None, Meta(description="clicked exposures / exposures")]
    carts_named: Annotated[int, Meta(description="carts that name their exposure")]
    carts_joined: Annotated[int, Meta(description="carts put down by their unit and time")]
    carters: Annotated[int, Meta(description="units that put something into the basket")]
    add_to_cart: Annotated[Share | None, Meta(description="carters / units")]
    buyers: Annotated[
        int,
        Meta(description="units with a purchase that names an exposure, or came after the first"),
    ]
    orders: int
    purchases: Annotated[int, Meta(description="lines of orders")]
    purchases_named: Annotated[int, Meta(description="purchases that name their exposure")]
    purchases_joined: Annotated[int, Meta(description="purchases put down by their unit and time")]
    conversion: Annotated[Share | None, Meta(description="buyers / units")]
    revenue: Annotated[float, Meta(description="purchases less refunds")]
    revenue_per_unit: float | None
    average_order_value: Annotated[float | None, Meta(description="revenue / orders")]
    items_shown: Annotated[
        int | None, Meta(description="distinct items and banners; null for one epoch")
    ]
    effective_items: Annotated[
        int | None,
        Meta(description="how many of them carry 90 % of what was shown; null for one epoch"),
    ]
    stay: Annotated[Stay, Meta(description="visits, dwell and retention after the first exposure")]
    catalogue_items_shown: Annotated[
        int | None,
        Meta(description="items of the live model that were shown; null for one epoch"),
    ] = None
    catalogue_coverage: Annotated[
        Share | None, Meta(description="catalogue_items_shown / catalogue_items of the report")
    ] = None


def whole_arms(sums: RolloutSums, stays: Stays, catalogue: Vocabulary | None) -> list[Arm]:
    """Make the arms over all epochs, with how much of the catalogue each showed."""
    arms = []
    for name in in_order({arm.variant for arm in sums.arms}):
        stay = add_stays([StaySums(), *(one for (_, of), one in stays.items() if of == name)])
        arm = make_arm(whole_arm(sums, name), None, stay)
        arms.append(_with_shown(arm, sums.n_shown.get(name, {}), catalogue))
    return arms


def whole_arm(sums: RolloutSums, variant: str) -> ArmSums:
    """Add up the epochs of a variant that has been seen; a unit of two epochs is one."""
    parts = [arm for arm in sums.arms if arm.variant == variant]
    whole = ArmSums(
        0, variant, *(sum(column) for column in zip(*(p[2:] for p in parts), strict=True))
    )
    return whole._replace(**sums.people[variant]._asdict())


def make_arm(sums: ArmSums, declared_share: float | None, stay: StaySums) -> Arm:
    """Turn sums into figures; what was shown is not among them."""
    return Arm(
        variant=sums.variant,
        declared_share=declared_share,
        units=sums.n_units,
        crossed_units=sums.n_crossed,
        crossed_share=_divide(sums.n_crossed, sums.n_units),
        exposures=sums.n_exposures,
        clicked_exposures=sums.n_clicked,
        clicks_named=sums.n_clicks_named,
        clicks_joined=sums.n_clicks_joined,
        click_through=_divide(sums.n_clicked, sums.n_exposures),
        carts_named=sums.n_carts_named,
        carts_joined=sums.n_carts_joined,
        carters=sums.n_carters,
        add_to_cart=_divide(sums.n_carters, sums.n_units),
        buyers=sums.n_buyers,
        orders=sums.n_orders,
        purchases=sums.n_purchases,
        purchases_named=sums.n_purchases_named,
        purchases_joined=sums.n_purchases_joined,
        conversion=_divide(sums.n_buyers, sums.n_units),
        revenue=sums.revenue,
        revenue_per_unit=_divide(sums.revenue, sums.n_units),
        average_order_value=_divide(sums.revenue, sums.n_orders),
        items_shown=None,
        effective_items=None,
        stay=show_stay(stay),
    )


def in_order(names: set[str]) -> list[str]:
    """Sort variants, control first."""
    return sorted(names, key=lambda name: (name != CONTROL, name))


def _with_shown(arm: Arm, n_shown: Mapping[str, int], catalogue: Vocabulary | None) -> Arm:
    n_known = None if catalogue is None else count_known(n_shown, catalogue)
    return msgspec.structs.replace(
        arm,
        items_shown=len(n_shown),
        effective_items=effective_size(n_shown.values()),
        catalogue_items_shown=n_known,
        catalogue_coverage=None if n_known is None else _divide(n_known, len(catalogue or ())),
    )


def _divide(part: float, whole: float) -> float | None:
    return part / whole if whole else None
