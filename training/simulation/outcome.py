"""From the counters of a finished run to the object it ends with."""

from __future__ import annotations

import msgspec

from models.manifest import Interval
from training.simulation.counters import Counters
from training.simulation.display import CONTROL, TREATED, Scene
from training.simulation.invitation import addresses_of
from training.simulation.office import Ledger
from training.simulation.preparing import Stage
from training.simulation.result import (
    DemoResult,
    Errors,
    Events,
    Exposures,
    Lift,
    Model,
    Report,
    Retrained,
    ServedCounts,
    Waits,
    WorldSize,
)
from training.simulation.truth import Truth, relative_lift


def sum_up(
    stage: Stage,
    scene: Scene,
    *,
    ledger: Ledger,
    report: Report,
    retrained: Retrained | None,
    exit_status: int,
) -> DemoResult:
    """Put together what a run ends with."""
    counters, config = scene.counters, stage.world.config
    exposures, events = _split_ledger(ledger)
    version = stage.artifacts.live_version() or ""
    return DemoResult(
        seconds=round(scene.elapsed_s, 2),
        world=WorldSize(
            n_items=config.n_items,
            n_shoppers=config.n_shoppers,
            n_rows=stage.facts.n_rows,
            seed=config.seed,
        ),
        served=_count_served(counters, scene.elapsed_s),
        errors=_count_errors(counters),
        tiers=dict(counters.tiers),
        exposures=exposures,
        events=events,
        report=report,
        lift=compare_lift(counters.truth, report),
        model=Model(version=version, metrics=stage.artifacts.manifest(version).metrics),
        latency_ms=_measure_waits(counters),
        retrain=retrained,
        server_exit_status=exit_status,
        addresses=addresses_of(stage.server.url),
    )


def _count_served(counters: Counters, seconds: float) -> ServedCounts:
    """Sum up what the shoppers got."""
    return ServedCounts(
        n_visits=counters.n_visits,
        n_pages=counters.calls["serve"],
        n_slates=counters.n_slates,
        calls_per_s=counters.n_calls / seconds if seconds else 0.0,
        n_purchases=counters.n_purchases,
        revenue=round(counters.revenue, 2),
    )


def _count_errors(counters: Counters) -> Errors:
    """Sum up what failed."""
    return Errors(n=counters.n_errors, by_status=dict(counters.errors), first=counters.faults)


def _measure_waits(counters: Counters) -> dict[str, Waits]:
    """Take quantiles of the newest calls of each kind."""
    waits = {}
    for name in sorted(counters.took_ms):
        p50, p99 = counters.latency_ms(name, 0.5), counters.latency_ms(name, 0.99)
        if p50 is not None and p99 is not None:
            waits[name] = Waits(p50=round(p50, 2), p99=round(p99, 2))
    return waits


def _split_ledger(ledger: Ledger) -> tuple[Exposures, Events]:
    """Tell exposures and events apart."""
    return (
        Exposures(
            assigned=ledger.exposures_assigned,
            stored=ledger.exposures_stored,
            dropped=ledger.exposures_dropped,
        ),
        Events(
            accepted=ledger.events_accepted,
            duplicate=ledger.events_duplicate,
            rejected=ledger.events_rejected,
        ),
    )


class _Comparison(msgspec.Struct, frozen=True):
    variant: str
    metric: str
    relative: Interval | None


class _Epoch(msgspec.Struct, frozen=True):
    epoch: int
    comparisons: list[_Comparison]


class _Reported(msgspec.Struct, frozen=True):
    epochs: list[_Epoch]


def compare_lift(truth: Truth, report: Report) -> Lift:
    """Set the lift that the report measured in the newest epoch beside the planted one."""
    control, treated = truth.newest(CONTROL), truth.newest(TREATED)
    planted = relative_lift(treated.click_through, control.click_through)
    measured = next(
        (
            comparison.relative
            for epoch in msgspec.convert(report, _Reported).epochs
            for comparison in epoch.comparisons
            if epoch.epoch == truth.newest_epoch
            and (comparison.variant, comparison.metric) == (TREATED, "click_through")
        ),
        None,
    )
    is_covered = None
    if measured is not None and planted is not None:
        is_covered = measured.low <= planted <= measured.high
    return Lift(
        measured=measured,
        planted=planted,
        is_covered=is_covered,
        click_through_planted={
            name: arm.click_through
            for name, arm in ((CONTROL, control), (TREATED, treated))
            if arm.n_slates
        },
    )
