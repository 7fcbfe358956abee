"""Intervals over several epochs are as wide as units that come back make them."""

import math
from collections.abc import Sequence
from itertools import permutations, product
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from service.reports import confidence_sequence
from service.reports.comparison import DECISIVE, METRICS, Comparison, compare
from service.reports.confidence_sequence import boundary
from service.reports.returning import Stratum, index_returning, with_returning
from service.reports.statistics import (
    Estimate,
    difference,
    difference_variance,
    p_value,
    quotient,
)
from service.stores.rollout_sums import ArmSums, ReturningSums

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Shop(NamedTuple):
    """What units did, by epoch and unit."""

    seen: Flags
    is_treated: Flags
    shown: Numbers
    clicked: Numbers
    paid: Numbers
    before: Numbers
    """By unit."""

    def arm(self, epoch: int, variant: str) -> ArmSums:
        """Add up one arm, as the store does; who buys has carts, and nobody's revenue is cut."""
        of = self.of(epoch, variant)
        x, c, y = self.shown[epoch, of], self.clicked[epoch, of], self.paid[epoch, of]
        q = self.before[of]
        n_buyers, n = int((y > 0).sum()), int(of.sum())
        return ArmSums(
            epoch,
            variant,
            n_units=n,
            n_crossed=0,
            n_exposures=int(x.sum()),
            n_clicked=int(c.sum()),
            sum_xx=x @ x,
            sum_cc=c @ c,
            sum_xc=x @ c,
            n_clicks_named=0,
            n_clicks_joined=0,
            n_buyers=n_buyers,
            n_orders=n_buyers,
            n_purchases=n_buyers,
            revenue=y.sum(),
            sum_revenue_squared=y @ y,
            n_carters=n_buyers,
            capped=y.sum(),
            sum_capped_squared=y @ y,
            n_bought_before=int((q > 0).sum()),
            n_bought_twice=int(((q > 0) & (y > 0)).sum()),
            before=q.sum(),
            sum_before_squared=float(q @ q),
            sum_before_capped=q @ y,
            sum_orders_squared=n_buyers,
            sum_orders_revenue=y.sum(),
        )

    def returning(self) -> list[ReturningSums]:
        """Add up who was in two epochs, as the store does."""
        epochs = range(len(self.seen))
        masks = {
            variant: np.array([self.of(epoch, variant) for epoch in epochs]).astype(float)
            for variant in ("control", "personal")
        }
        bought = (self.paid > 0).astype(float)
        past = (self.before > 0).astype(float)
        sums = []
        for (variant, one), (other_variant, other) in product(masks.items(), repeat=2):
            pays, buys = one * self.paid, one * bought
            money, twice = pays @ (other * self.paid).T, buys @ (other * bought).T
            by_pair = (
                one @ other.T,
                (one * self.shown) @ (other * self.shown).T,
                (one * self.clicked) @ (other * self.clicked).T,
                (one * self.shown) @ (other * self.clicked).T,
                buys @ other.T,
                twice,
                buys @ other.T,
                twice,
                pays @ other.T,
                money,
                pays @ other.T,
                money,
                one @ (other * past).T,
                buys @ (other * past).T,
                one @ (other * self.before).T,
                one @ (other * self.before**2).T,
                pays @ (other * self.before).T,
                twice,
                buys @ (other * self.paid).T,
            )
            sums += [
                ReturningSums(
                    epoch, variant, later, other_variant, *(each[epoch, later] for each in by_pair)
                )
                for epoch, later in permutations(epochs, 2)
                if by_pair[0][epoch, later]
            ]
        return sums

    def compare(self, *, knows_returning: bool = True) -> list[Comparison]:
        """Compare the variant over all epochs."""
        epochs = range(len(self.seen))
        pairs = [(self.arm(e, "control"), self.arm(e, "personal")) for e in epochs]
        known = index_returning(self.returning() if knows_returning else [])
        return compare("personal", pairs, returning=known)

    def of(self, epoch: int, variant: str) -> Flags:
        """Mark the units of an arm."""
        return self.seen[epoch] & (self.is_treated[epoch] == (variant == "personal"))


def visit(
    rng: np.random.Generator, n: int, shares: Sequence[float], *, seen_share: float, kappa: float
) -> Shop:
    """Let units come to some epochs under growing shares; who buys once is likelier to again."""
    size = len(shares), n
    buys = rng.beta(0.1 * kappa, 0.9 * kappa, n)
    spends = rng.lognormal(3, 0.8, n)
    shown = (1 + rng.poisson(3, size)).astype(float)
    clicks = rng.beta(0.2 * kappa, 0.8 * kappa, n)
    return Shop(
        rng.random(size) < seen_share,
        rng.random(n) < np.array(shares)[:, None],
        shown,
        rng.binomial(shown.astype(np.int64), clicks).astype(float),
        (rng.random(size) < buys) * spends * rng.lognormal(0, 0.3, size),
        (rng.random(n) < buys) * spends,
    )


def distances(shop: Shop, metric: str, epoch: int, variant: str, slope: float) -> Numbers:
    """Work out from units what each adds to the estimate of an arm; all adds up to nothing."""
    of = witnesses(shop, metric, epoch, variant)
    n, found = of.sum(), np.zeros(len(of))
    if metric in ("click_through", "average_order_value"):
        y, x = shop.paid[epoch, of], (shop.paid[epoch, of] > 0).astype(float)
        if metric == "click_through":
            y, x = shop.clicked[epoch, of], shop.shown[epoch, of]
        found[of] = (y - y.sum() / x.sum() * x) / x.sum()
    else:
        y, past = values(shop, metric, epoch)
        left = y[of] - slope * past[of]
        found[of] = (left - left.mean()) / n
    return found * np.sqrt(n / (n - 1))


def witnesses(shop: Shop, metric: str, epoch: int, variant: str) -> NDArray[np.bool_]:
    """Find the units of an arm that say anything of a metric: of an order's value, the buyers."""
    of = shop.of(epoch, variant)
    return of & (shop.paid[epoch] > 0) if metric == "average_order_value" else of


def values(shop: Shop, metric: str, epoch: int) -> tuple[Numbers, Numbers]:
    """Return a metric by unit, and the same before."""
    if metric in ("add_to_cart", "conversion"):
        return (shop.paid[epoch] > 0).astype(float), (shop.before > 0).astype(float)
    return shop.paid[epoch], shop.before


def slope_of(shop: Shop, metric: str, epoch: int) -> float:
    """Return how much a metric rises with the same before, inside the arms of an epoch."""
    if metric not in ("conversion", "capped_revenue_per_unit"):
        return 0.0
    y, past = values(shop, metric, epoch)
    arms = [shop.of(epoch, variant) for variant in ("control", "personal")]
    together = sum(((past[of] - past[of].mean()) * (y[of] - y[of].mean())).sum() for of in arms)
    return float(together / sum(((past[of] - past[of].mean()) ** 2).sum() for of in arms))


def variance_of(shop: Shop, metric: str) -> float:
    """Square what each unit adds to the difference over all epochs."""
    weights = []
    for epoch in range(len(shop.seen)):
        n = [witnesses(shop, metric, epoch, variant).sum() for variant in ("control", "personal")]
        weights.append(float(n[0] * n[1] / (n[0] + n[1])))
    whole = np.zeros(shop.seen.shape[1])
    for epoch, weight in enumerate(weights):
        slope = slope_of(shop, metric, epoch)
        own = distances(shop, metric, epoch, "personal", slope)
        own -= distances(shop, metric, epoch, "control", slope)
        whole += weight / sum(weights) * own
    return float(whole @ whole)


def test_same_units_that_do_the_same_again_tell_nothing_new() -> None:
    """Of two units one bought, in both epochs: a variance of .25, as after the first of them.

    Distances are 1/2 and -1/2, so their products add up to 1/2, over 2 · 1; a half squared of
    that, twice, is .125. The epochs' own come to the same: .25 · (.25 + .25).
    """
    both = ReturningSums(1, "control", 2, "control", 2, 2, 0, 0, n_carters=1, n_carted_twice=1)
    back = both._replace(epoch=2, other_epoch=1)
    strata = [Stratum(epoch, "control", 0.5, math.sqrt(2), 0.0, 0.5) for epoch in (1, 2)]
    own = Estimate(0.5, 0.125, 4)
    found = with_returning(own, own, "add_to_cart", strata, index_returning([both, back]))
    assert found[0].variance == pytest.approx(0.25)
    assert found[1] == own


def test_units_that_change_sides_make_both_means_move_together() -> None:
    """Both units are treated in the second epoch: the products, .25, are of the two means.

    An epoch is a half of each, so .0625. Were that forgotten, the interval would be wider:
    .125 + .125 where .125 is right, for the same units on both sides.
    """
    there = ReturningSums(1, "control", 2, "personal", 2, 2, 0, 0, n_carters=1, n_carted_twice=1)
    back = there._replace(epoch=2, variant="personal", other_epoch=1, other_variant="control")
    strata = [
        Stratum(1, "control", 0.5, math.sqrt(2), 0.0, 0.5),
        Stratum(2, "personal", 0.5, math.sqrt(2), 0.0, 0.5),
    ]
    own = Estimate(0.5, 0.125, 4)
    control, treated = with_returning(
        own, own, "add_to_cart", strata, index_returning([there, back])
    )
    assert control == own
    assert treated[:3] == own[:3]
    assert treated.covariance == pytest.approx(0.0625)
    assert difference_variance(control, treated) == pytest.approx(0.125)
    # 0.5 ± √.125 over .5, where both move together: (θ - 1)² · .25 ≤ .125 + θ² .125 - .125 θ.
    found = quotient(control, treated, 1.0)
    assert found is not None
    for theta in (1 + found.low, 1 + found.high):
        spread = 0.125 + 0.125 * theta * theta - 2 * 0.0625 * theta
        assert 0.25 * (theta - 1) ** 2 == pytest.approx(spread)


def test_means_that_move_as_one_differ_by_nothing() -> None:
    """Where all that the variances say is in common, there is no width and no p-value."""
    control, treated = Estimate(0.5, 0.125, 4), Estimate(0.5, 0.125, 4, covariance=0.126)
    assert difference(control, treated) == (0.0, 0.0, 0.0)
    assert p_value(control, treated) is None


@pytest.mark.parametrize("shares", [(0.5, 0.5, 0.5), (0.1, 0.3, 0.6), (0.9, 0.2, 0.5)])
def test_spread_is_that_of_sums_over_units(
    shares: Sequence[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From sums over pairs of epochs comes what the units themselves say, for every metric.

    Each arm has enough to tell, so none takes the spread of another.
    """
    monkeypatch.setattr(confidence_sequence, "_clock", lambda *_: 700.0)
    shop = visit(np.random.default_rng(17), 12_000, shares, seen_share=0.7, kappa=1.0)
    n_checked = 0
    for each in shop.compare():
        if each.always_valid is not None:
            margin = each.always_valid.high - each.always_valid.value
            expected = variance_of(shop, each.metric)
            errors = boundary(700, alpha=0.025 if each.metric in DECISIVE else 0.05)
            assert (margin / errors) ** 2 == pytest.approx(expected, rel=1e-9)
            assert each.is_adjusted == (slope_of(shop, each.metric, 0) != 0)
            n_checked += 1
    assert n_checked == 6


def test_one_epoch_and_units_that_do_not_come_back_stay_as_they_were() -> None:
    """The same figures to the last bit, with and without what is known of returning units."""
    rng = np.random.default_rng(18)
    one = visit(rng, 2_000, [0.5], seen_share=0.7, kappa=1.0)
    assert one.compare() == one.compare(knows_returning=False)
    new = visit(rng, 6_000, [0.3, 0.5, 0.5], seen_share=1.0, kappa=1.0)
    new.seen[:] = np.arange(6_000) % 3 == np.arange(3)[:, None]
    assert new.compare() == new.compare(knows_returning=False)
    new.seen[1] |= new.seen[0]
    assert new.compare() != new.compare(knows_returning=False)


def test_interval_holds_where_units_come_back() -> None:
    """95 % ± 2 of 600 tests without effect: four epochs at a half, in each 70 % of all units.

    Who buys once is likelier to buy again, with a correlation of 1/3 between epochs. As if the
    epochs' units were different ones, it is 87 to 90 %.
    """
    rng = np.random.default_rng(19)
    covered: dict[str, list[bool]] = {}
    for _ in range(600):
        for each in visit(rng, 2_000, [0.5] * 4, seen_share=0.7, kappa=2.0).compare():
            if each.absolute is not None and each.relative is not None:
                kept = covered.setdefault(each.metric, [])
                kept.append(each.absolute.low <= 0 <= each.absolute.high)
    assert set(covered) == set(METRICS[:6])
    for kept in covered.values():
        assert 0.93 <= np.mean(kept) <= 0.97
