"""What is known of one rollout, added up: sums by variant and epoch, from which a report is made.

`service.stores.outcomes` reads them; nothing here knows a database.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from service.stores.attribution import DEFAULT_DAYS
from service.stores.event_schema import RENDERED, VIEWABLE
from service.stores.rollup_folds import ASSIGNED
from service.stores.rollup_visits import WINDOWS_DAYS

BEFORE_MS = 28 * 86_400_000
"""How far back a unit's purchases before its first exposure are looked at."""
MAX_NAMED = 20
"""Exposures drawn as another variant that are named, of each pair of variants."""
CAPPED_SHARE = 0.99
"""Share of paying units whose revenue stands as it is; the rest count as the largest of these."""

STAGES = {
    ASSIGNED: "served",
    RENDERED: "rendered",
    VIEWABLE: "viewable",
    1: "click",
    2: "add_to_cart",
    3: "purchase",
}


class ArmSums(NamedTuple):
    """What happened in one variant during one epoch. `x` is exposures, `c` clicked ones, a unit."""

    epoch: int
    variant: str
    n_units: int
    n_crossed: int
    """Units that saw another variant too in this epoch, as themselves or as another unit."""
    n_exposures: int
    n_clicked: int
    """Exposures with at least one click."""
    sum_xx: float
    sum_cc: float
    sum_xc: float
    n_clicks_named: int
    """Clicks that name their exposure."""
    n_clicks_joined: int
    """Clicks put down to the unit's last exposure of that item or banner."""
    n_buyers: int
    n_orders: int
    n_purchases: int
    """Lines of orders."""
    revenue: float
    """Purchases less refunds."""
    sum_revenue_squared: float
    n_carters: int = 0
    """Units that put something into the basket."""
    capped: float = 0.0
    """Revenue with the largest units' cut down to `RolloutSums.revenue_cap`."""
    sum_capped_squared: float = 0.0
    n_bought_before: int = 0
    """Units with a purchase in `BEFORE_MS` before their first exposure by the rollout."""
    n_bought_twice: int = 0
    """Those of them that bought after it too."""
    before: float = 0.0
    """What units paid before, capped likewise."""
    sum_before_squared: float = 0.0
    sum_before_capped: float = 0.0
    """Sum over units of what they paid before times what they paid after, both capped."""
    sum_orders_squared: float = 0.0
    sum_orders_revenue: float = 0.0
    n_carts_named: int = 0
    """Carts that name their exposure; the rest are put down by unit and time."""
    n_carts_joined: int = 0
    n_purchases_named: int = 0
    n_purchases_joined: int = 0


class ReturningStays(NamedTuple):
    """Visits of the units of `ReturningSums`; products are of one epoch with the other."""

    n_units: float = 0
    n_returned: float = 0
    """With a second visit in `epoch`."""
    n_returned_twice: float = 0
    """And in `other_epoch` too."""
    n_visits: float = 0
    sum_vv: float = 0
    sum_vd: float = 0
    """Visits in `epoch` times seconds of dwelling in `other_epoch`."""
    sum_dd: float = 0
    n_old: tuple[float, ...] = (0,) * len(WINDOWS_DAYS)
    """Whose window was over in both epochs, by window."""
    n_seen: tuple[float, ...] = (0,) * len(WINDOWS_DAYS)
    """Those of them that were seen in it in `epoch`."""
    n_seen_twice: tuple[float, ...] = (0,) * len(WINDOWS_DAYS)


class ReturningSums(NamedTuple):
    """Units of a variant in an epoch that were there in another one too, in whatever variant.

    What is said of one epoch is of `epoch`; products are of that with the same in `other_epoch`.
    `x` is exposures, `c` clicked ones, a unit.
    """

    epoch: int
    variant: str
    other_epoch: int
    other_variant: str
    n_units: float
    """Not always whole, like all below: of very many a sample is counted."""
    sum_xx: float
    sum_cc: float
    sum_xc: float
    """Exposures in `epoch` times clicked ones in `other_epoch`."""
    n_carters: float = 0
    n_carted_twice: float = 0
    """In both epochs."""
    n_buyers: float = 0
    n_bought_twice: float = 0
    revenue: float = 0.0
    sum_revenue_squared: float = 0.0
    capped: float = 0.0
    sum_capped_squared: float = 0.0
    n_bought_before: float = 0
    """With a purchase in `BEFORE_MS` before their first exposure, in whatever epoch."""
    n_buyers_before: float = 0
    """Those of them that bought in `epoch` too."""
    before: float = 0.0
    sum_before_squared: float = 0.0
    sum_before_capped: float = 0.0
    sum_orders_squared: float = 0.0
    sum_orders_revenue: float = 0.0
    """Orders in `epoch` times revenue in `other_epoch`."""
    stay: ReturningStays = ReturningStays()


class People(NamedTuple):
    """Distinct units of a variant: one that is there in two epochs counts once."""

    n_units: int
    n_crossed: int = 0
    n_carters: int = 0
    n_buyers: int = 0


class Stage(NamedTuple):
    """How many exposures got so far, at one place."""

    variant: str
    placement_id: str
    tier: str
    platform: str
    country: str
    stage: int
    n: int


class Misdrawn(NamedTuple):
    """Exposures of a variant whose client says that it drew another one."""

    variant: str
    drawn: str
    n: int
    exposure_ids: Sequence[str]
    """The first `MAX_NAMED` of them by id, which rises with time."""


class Cohort(NamedTuple):
    """Units of a variant whose first exposure in an epoch was on one UTC day, and their visits.

    `v` is visits, `d` seconds of dwelling, a unit, in 28 days or until its next epoch.
    """

    epoch: int
    variant: str
    day: int
    n_units: int
    n_returned: int
    """With a second visit."""
    n_visits: int
    dwell_s: int
    sum_vv: int
    sum_dd: int
    sum_vd: int
    n_seen: tuple[int, ...]
    """Seen in each of `rollup_visits.WINDOWS_DAYS`, as far as they are over."""


FindEnds = Callable[[Sequence[Cohort]], Mapping[int, int]]
"""Says when each epoch ended, or what time it is, in ms."""


class RolloutSums(NamedTuple):
    """Everything a report reads."""

    arms: list[ArmSums]
    people: dict[str, People]
    """By variant, over all epochs."""
    not_split: dict[str, int]
    """Exposures that no split decided, by reason; they are in no arm."""
    stages: Sequence[Stage] = ()
    n_shown: Mapping[str, Mapping[str, int]] = MappingProxyType({})
    """By variant, how often each of its items and banners was shown, by id."""
    revenue_cap: float | None = None
    misdrawn: Sequence[Misdrawn] = ()
    cohorts: Sequence[Cohort] = ()
    n_waiting: int = 0
    """Rows of the log that are not in these sums yet."""
    returning: Sequence[ReturningSums] = ()
    """Of each two epochs, both ways; nothing where no unit is there in two."""
    attribution_days: int = DEFAULT_DAYS
