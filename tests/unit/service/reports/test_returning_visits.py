"""Intervals of visits and retention over several epochs know which units came back."""

import math
from collections.abc import Sequence
from itertools import permutations, product
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from service.reports import confidence_sequence
from service.reports.comparison import METRICS, Comparison, compare
from service.reports.confidence_sequence import boundary
from service.reports.returning import Stratum, index_returning, with_returning
from service.reports.statistics import Estimate
from service.reports.stays import WINDOWS, StaySums
from service.stores.rollout_sums import ArmSums, ReturningStays, ReturningSums
from service.stores.rollup_visits import WINDOWS_DAYS

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]
STAYS = METRICS[6:]
NOTHING = (0,) * (len(ArmSums._fields) - 3)


class Visitors(NamedTuple):
    """How units came back, by epoch and unit; the last two by window before that."""

    there: Flags
    is_treated: Flags
    visits: Numbers
    dwell: Numbers
    is_old: Flags
    seen: Flags

    def of(self, epoch: int, variant: str) -> Flags:
        """Mark the units of an arm."""
        return self.there[epoch] & (self.is_treated[epoch] == (variant == "personal"))

    def arm(self, epoch: int, variant: str) -> ArmSums:
        """Count the units of an arm, of whom nothing else is known."""
        return ArmSums(epoch, variant, int(self.of(epoch, variant).sum()), *NOTHING)

    def stay(self, epoch: int, variant: str) -> StaySums:
        """Add up the visits of one arm, as the store does."""
        of = self.of(epoch, variant)
        v, d = self.visits[epoch, of], self.dwell[epoch, of]
        asked = self.is_old[:, epoch] & of
        return StaySums(
            int(of.sum()),
            int((v > 1).sum()),
            int(v.sum()),
            int(d.sum()),
            int(v @ v),
            int(d @ d),
            int(v @ d),
            tuple(asked.sum(axis=1).tolist()),
            tuple((asked & self.seen[:, epoch]).sum(axis=1).tolist()),
        )

    def returning(self) -> list[ReturningSums]:
        """Add up who was in two epochs, as the store does."""
        sums = []
        epochs = range(len(self.there))
        for one, other in product(("control", "personal"), repeat=2):
            for epoch, later in permutations(epochs, 2):
                both = self.of(epoch, one) & self.of(later, other)
                v, again = self.visits[epoch, both], self.visits[later, both]
                d, dwell_again = self.dwell[epoch, both], self.dwell[later, both]
                old = self.is_old[:, epoch] & self.is_old[:, later] & both
                here, there = old & self.seen[:, epoch], old & self.seen[:, later]
                n = int(both.sum())
                stay = ReturningStays(
                    n,
                    int((v > 1).sum()),
                    int(((v > 1) & (again > 1)).sum()),
                    v.sum(),
                    v @ again,
                    v @ dwell_again,
                    d @ dwell_again,
                    tuple(old.sum(axis=1)),
                    tuple(here.sum(axis=1)),
                    tuple((here & there).sum(axis=1)),
                )
                if n:
                    sums.append(ReturningSums(epoch, one, later, other, n, 0, 0, 0, stay=stay))
        return sums

    def compare(self, *, knows_returning: bool = True) -> list[Comparison]:
        """Compare the variant over all epochs."""
        epochs = range(len(self.there))
        pairs = [(self.arm(e, "control"), self.arm(e, "personal")) for e in epochs]
        stays = {(e, name): self.stay(e, name) for e in epochs for name in ("control", "personal")}
        known = index_returning(self.returning() if knows_returning else [])
        return [each for each in compare("personal", pairs, stays, known) if each.metric in STAYS]


def visit(
    rng: np.random.Generator, n: int, shares: Sequence[float], *, there_share: float, kappa: float
) -> Visitors:
    """Let units come to some epochs under growing shares; who comes back is likelier to again.

    An epoch goes on for 7 to 34 days after a unit's first, so few are asked about the last window.
    """
    size = len(shares), n
    comes = rng.beta(0.3 * kappa, 0.7 * kappa, n)
    visits = (1 + rng.poisson(2 * comes, size)).astype(float)
    lasts = 200 * rng.lognormal(0, 0.8, n)
    n_days = rng.integers(7, 35, size)
    return Visitors(
        rng.random(size) < there_share,
        rng.random(n) < np.array(shares)[:, None],
        visits,
        np.floor(rng.gamma(visits) * lasts),
        np.array([n_days >= end for _, end in WINDOWS_DAYS]),
        rng.random((len(WINDOWS_DAYS), *size)) < comes,
    )


def distances(shop: Visitors, metric: str, epoch: int, variant: str) -> Numbers:
    """Work out from units what each adds to the estimate of an arm; all adds up to nothing."""
    of, found = shop.of(epoch, variant), np.zeros(shop.there.shape[1])
    if metric == "dwell_per_visit":
        y, x = shop.dwell[epoch, of], shop.visits[epoch, of]
        found[of] = (y - y.sum() / x.sum() * x) / x.sum()
    else:
        values = shop.visits[epoch]
        if metric in WINDOWS:
            of = of & shop.is_old[WINDOWS[metric], epoch]
            values = shop.seen[WINDOWS[metric], epoch].astype(float)
        elif metric == "return_rate":
            values = (values > 1).astype(float)
        found[of] = (values[of] - values[of].mean()) / of.sum()
    return found * np.sqrt(of.sum() / (of.sum() - 1))


def weights_of(shop: Visitors, metric: str) -> list[float]:
    """Weigh each epoch: c · t / (c + t) of the units of either arm that a metric asks."""
    found = []
    for epoch in range(len(shop.there)):
        asked = [shop.of(epoch, variant) for variant in ("control", "personal")]
        if metric in WINDOWS:
            asked = [of & shop.is_old[WINDOWS[metric]][epoch] for of in asked]
        c, t = (int(of.sum()) for of in asked)
        found.append(c * t / (c + t))
    return found


def variance_of(shop: Visitors, metric: str) -> float:
    """Square what each unit adds to the difference over all epochs."""
    weights, whole = weights_of(shop, metric), np.zeros(shop.there.shape[1])
    for epoch, weight in enumerate(weights):
        own = distances(shop, metric, epoch, "personal")
        own -= distances(shop, metric, epoch, "control")
        whole += weight / sum(weights) * own
    return float(whole @ whole)


def pair_of(stay: ReturningStays, variant: str, other_variant: str) -> list[ReturningSums]:
    """Make both directions for units that did the same again."""
    there = ReturningSums(1, variant, 2, other_variant, stay.n_units, 0, 0, 0, stay=stay)
    back = there._replace(epoch=2, variant=other_variant, other_epoch=1, other_variant=variant)
    return [there, back]


def test_units_that_visit_as_often_again_tell_nothing_new() -> None:
    """1 visit and 3 visits, in both epochs: a variance of 1, as after the first of them.

    Distances are -1 and 1 of the mean 2, so their products add up to 2, over 2 · 1; a half squared
    of that, twice, is .5. The epochs' own come to the same: .25 · (1 + 1).
    """
    stay = ReturningStays(n_units=2, n_returned=1, n_returned_twice=1, n_visits=4, sum_vv=10)
    strata = [Stratum(epoch, "control", 0.5, math.sqrt(2), 0.0, 2.0) for epoch in (1, 2)]
    own = Estimate(2.0, 0.5, 4)
    known = index_returning(pair_of(stay, "control", "control"))
    control, treated = with_returning(own, own, "visits_per_unit", strata, known)
    assert control.variance == pytest.approx(1.0)
    assert treated == own


def test_dwell_is_measured_from_the_ratio_of_each_epoch() -> None:
    """Units of 1 visit, 10 s and 3 visits, 40 s; then of 1 visit, 30 s and 1 visit, 10 s.

    The ratios are 12.5 and 20: distances of -2.5 and 2.5, and of 10 and -10. Products add up to
    -50, over 4 · 2 visits and the half that one of two units leaves, which is -12.5; a quarter of
    that, twice, is -6.25. With variances of 20 together 13.75 are left.
    """
    there = ReturningStays(
        n_units=2, n_visits=4, sum_vv=4, sum_vd=1 * 30 + 3 * 10, sum_dd=10 * 30 + 40 * 10
    )
    back = there._replace(n_visits=2, sum_vd=10 + 40)
    sums = pair_of(there, "control", "control")
    known = index_returning([sums[0], sums[1]._replace(stay=back)])
    half = math.sqrt(1 / 2)
    strata = [
        Stratum(1, "control", 0.5, 4 * half, 12.5, 0.0),
        Stratum(2, "control", 0.5, 2 * half, 20.0, 0.0),
    ]
    own = Estimate(16.25, 20.0, 4)
    control, _ = with_returning(own, own, "dwell_per_visit", strata, known)
    assert control.variance == pytest.approx(13.75)


def test_retention_asks_who_was_old_enough_in_both_epochs() -> None:
    """Three units of control are treated later, and one of them is too young to be asked then.

    Of the three two were seen, of the two one, the same one. Distances from 2/3 and 1/2 are 1/3
    and 1/2 for it, -2/3 and -1/2 for the other: products of 1/2, over 3√(2/3) · 2√(1/2), which
    is √12. With weights of 3/5 and 2/5 that is .24 · .5 / √12.
    """
    stay = ReturningStays(n_units=3, n_old=(2, 0, 0), n_seen=(1, 0, 0), n_seen_twice=(1, 0, 0))
    known = index_returning(pair_of(stay, "control", "personal"))
    strata = [
        Stratum(1, "control", 0.6, 3 * math.sqrt(2 / 3), 0.0, 2 / 3),
        Stratum(2, "personal", 0.4, 2 * math.sqrt(1 / 2), 0.0, 1 / 2),
    ]
    own = Estimate(0.6, 0.1, 5)
    control, treated = with_returning(own, own, "retention_7", strata, known)
    assert control == own
    assert treated[:3] == own[:3]
    assert treated.covariance == pytest.approx(0.24 * 0.5 / math.sqrt(12))
    assert with_returning(own, own, "retention_14", strata, known)[1].covariance == 0


@pytest.mark.parametrize("shares", [(0.5, 0.5, 0.5), (0.1, 0.3, 0.6), (0.9, 0.2, 0.5)])
def test_spread_is_that_of_sums_over_units(
    shares: Sequence[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From sums over pairs of epochs comes what the units themselves say, for every metric."""
    monkeypatch.setattr(confidence_sequence, "_clock", lambda *_: 700.0)
    shop = visit(np.random.default_rng(17), 3_000, shares, there_share=0.7, kappa=1.0)
    found = shop.compare()
    assert [each.metric for each in found] == list(STAYS)
    for each in found:
        assert each.always_valid is not None
        margin = each.always_valid.high - each.always_valid.value
        expected = variance_of(shop, each.metric)
        assert (margin / boundary(700)) ** 2 == pytest.approx(expected, rel=1e-9)


def test_one_epoch_and_units_that_do_not_come_back_stay_as_they_were() -> None:
    """The same figures to the last bit, with and without what is known of returning units."""
    rng = np.random.default_rng(18)
    one = visit(rng, 2_000, [0.5], there_share=0.7, kappa=1.0)
    assert one.compare() == one.compare(knows_returning=False)
    new = visit(rng, 6_000, [0.3, 0.5, 0.5], there_share=1.0, kappa=1.0)
    new.there[:] = np.arange(6_000) % 3 == np.arange(3)[:, None]
    assert new.compare() == new.compare(knows_returning=False)
    new.there[1] |= new.there[0]
    for each, before in zip(new.compare(), new.compare(knows_returning=False), strict=True):
        assert each != before


def test_interval_holds_where_units_come_back() -> None:
    """95 % ± 2 of 600 tests without effect: four epochs at a half, in each 70 % of all units.

    Who comes back once is likelier to again. As if the epochs' units were different ones, it is 85
    to 89 %, and 94 % of the last window, which asks few twice.
    """
    rng = np.random.default_rng(19)
    covered: dict[str, list[bool]] = {metric: [] for metric in STAYS}
    for _ in range(600):
        for each in visit(rng, 2_000, [0.5] * 4, there_share=0.7, kappa=2.0).compare():
            assert each.absolute is not None
            covered[each.metric].append(each.absolute.low <= 0 <= each.absolute.high)
    for kept in covered.values():
        assert 0.93 <= np.mean(kept) <= 0.97
