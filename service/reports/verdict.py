"""The report in one sentence: may one act on it, and on what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from models.plural import plural
from service.reports.comparison import Comparison, Interval, MetricName
from service.reports.statistics import LEAST_TELLING
from service.rollouts.definition import CONTROL

LEAST_UNITS = 100
LEAST_BUYERS = LEAST_TELLING

Code = Literal["do_not_act", "too_early", "no_difference_yet", "better", "worse", "mixed"]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What to make of a report, at any time: its intervals hold at every look."""

    code: Annotated[
        Code, Meta(description="conversion decides; mixed where capped revenue contradicts it")
    ]
    sentence: str


def judge(
    *,
    units: Mapping[str, int],
    buyers: Mapping[str, int],
    comparisons: Sequence[Comparison],
    broken_epochs: Sequence[int],
    unevenly_rendered: Sequence[str],
) -> Verdict:
    """Say what the figures allow; a broken split forbids everything else."""
    if broken_epochs:
        shown = ", ".join(str(epoch) for epoch in broken_epochs)
        return Verdict(
            code="do_not_act",
            sentence=f"Do not act: in epoch {shown} the units did not come in the declared shares.",
        )
    if unevenly_rendered:
        return Verdict(
            code="do_not_act",
            sentence=f"Do not act: {_names(unevenly_rendered)} and control are not rendered "
            "equally often.",
        )
    variants = [name for name in units if name != CONTROL]
    # An arm without buyers where another one's rate lets expect many is not early, but worse.
    rate = max((buyers.get(name, 0) / max(n, 1) for name, n in units.items()), default=0.0)
    few = [
        f"{name!r} has {plural(n, 'unit')} and {plural(buyers.get(name, 0), 'buyer')}"
        for name in (CONTROL, *variants)
        for n in [units.get(name, 0)]
        if n < LEAST_UNITS or n * rate < LEAST_BUYERS
    ]
    if few or not variants:
        shown = "; ".join(few) or "no variant was shown"
        return Verdict(
            code="too_early",
            sentence=f"Too early: each arm needs {LEAST_UNITS} units and {LEAST_BUYERS} buyers; "
            f"{shown}.",
        )
    return _compared(variants, comparisons)


def _compared(variants: Sequence[str], comparisons: Sequence[Comparison]) -> Verdict:
    by_metric: dict[tuple[str, MetricName], Interval | None] = {
        (each.variant, each.metric): each.always_valid_relative for each in comparisons
    }
    codes: list[Code] = []
    parts = []
    for name in variants:
        conversion = by_metric.get((name, "conversion"))
        revenue = by_metric.get((name, "capped_revenue_per_unit"))
        codes.append(_code(_sign(conversion), _sign(revenue)))
        parts.append(f"{name!r} beside control: {_phrase(conversion)}{_money(revenue)}")
    code = codes[0] if len(set(codes)) == 1 else "mixed"
    start = "No difference shown yet: " if code == "no_difference_yet" else ""
    return Verdict(code=code, sentence=f"{start}{'; '.join(parts)}.")


def _code(conversion: int, revenue: int) -> Code:
    total = conversion or revenue
    if conversion * revenue < 0:
        return "mixed"
    if total == 0:
        return "no_difference_yet"
    return "better" if total > 0 else "worse"


def _sign(interval: Interval | None) -> int:
    if interval is None:
        return 0
    return (interval.low > 0) - (interval.high < 0)


def _phrase(interval: Interval | None) -> str:
    if interval is None:
        return "conversion not comparable"
    return f"conversion {interval.value:+.1%} ({interval.low:+.1%} to {interval.high:+.1%})"


def _money(interval: Interval | None) -> str:
    if interval is None:
        return ""
    shown = f"{interval.value:+.1%} ({interval.low:+.1%} to {interval.high:+.1%})"
    return f", capped revenue per unit {shown}"


def _names(names: Sequence[str]) -> str:
    return " and ".join(repr(name) for name in names)
