"""How far exposures got, from served to purchase, and whether arms were drawn as assigned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from service.reports.comparison import Interval
from service.reports.confidence_sequence import always_valid_difference
from service.reports.statistics import Estimate, comparable, mean_of
from service.rollouts.definition import CONTROL
from service.stores.rollout_sums import STAGES, Misdrawn, Stage

Dimension = Literal["all", "placement", "tier", "platform", "country"]
_DIMENSIONS: tuple[tuple[Dimension, str | None], ...] = (
    ("all", None),
    ("placement", "placement_id"),
    ("tier", "tier"),
    ("platform", "platform"),
    ("country", "country"),
)
RENDERED_ALPHA = 0.001


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One stage of a funnel."""

    stage: str
    exposures: Annotated[int, Meta(description="distinct ones that got this far")]
    drop_off: Annotated[
        float | None,
        Meta(
            description="share lost since the stage before that anything reached; may be negative"
        ),
    ]


class Funnel(msgspec.Struct, frozen=True, kw_only=True):
    """The stages of a variant, over all or at one place."""

    variant: str
    by: Dimension
    value: Annotated[str, Meta(description="empty where by is all, or where none was named")]
    steps: list[Step]


class RenderedDifference(msgspec.Struct, frozen=True, kw_only=True):
    """Rendered / served of a variant less that of control, with an always-valid 99.9 % interval."""

    variant: str
    difference: Interval | None
    is_alarm: bool


class DrawnOtherwise(msgspec.Struct, frozen=True, kw_only=True):
    """Exposures of a variant that clients say they drew as another one."""

    variant: Annotated[str, Meta(description="as assigned; they are counted there")]
    drawn: Annotated[str, Meta(description="as the client's report names it")]
    exposures: int
    exposure_ids: Annotated[list[str], Meta(description="the first 20 of them")]


def make_funnels(stages: Sequence[Stage]) -> list[Funnel]:
    """Add stages up by variant, and by variant and each dimension."""
    found = []
    for by, field in _DIMENSIONS:
        counts: dict[tuple[str, str], Counter[int]] = {}
        for stage in stages:
            value = "" if field is None else str(getattr(stage, field))
            counts.setdefault((stage.variant, value), Counter())[stage.stage] += stage.n
        found += [
            Funnel(variant=variant, by=by, value=value, steps=steps_of(counts[variant, value]))
            for variant, value in sorted(counts)
        ]
    return found


def rendered_differences(stages: Sequence[Stage]) -> list[RenderedDifference]:
    """Compare rendered / served between arms; nothing where clients report no rendering."""
    totals = {
        (funnel.variant, step.stage): step.exposures
        for funnel in make_funnels(stages)
        if funnel.by == "all"
        for step in funnel.steps
    }
    variants = sorted({stage.variant for stage in stages} - {CONTROL})
    if not any(totals.get((variant, "rendered")) for variant in (CONTROL, *variants)):
        return []
    found = []
    for variant in variants:
        pair = _comparable_shares(
            *(
                (totals.get((name, "served"), 0), totals.get((name, "rendered"), 0))
                for name in (CONTROL, variant)
            )
        )
        difference = None if pair is None else always_valid_difference(*pair, alpha=RENDERED_ALPHA)
        found.append(
            RenderedDifference(
                variant=variant,
                difference=None if difference is None else Interval(**difference._asdict()),
                is_alarm=difference is not None and not difference.low <= 0 <= difference.high,
            )
        )
    return found


def _comparable_shares(
    control: tuple[int, int], treated: tuple[int, int]
) -> tuple[Estimate, Estimate] | None:
    """Compare shares that may be close to 1: what was not drawn is what tells then."""
    missed = comparable(*(mean_of(n, n - drawn, n - drawn) for n, drawn in (control, treated)))
    drawn = comparable(*(mean_of(n, drawn, drawn) for n, drawn in (control, treated)))
    if missed is None or drawn is None:
        return None
    return _widest(drawn[0], missed[0]), _widest(drawn[1], missed[1])


def _widest(drawn: Estimate, missed: Estimate) -> Estimate:
    return drawn._replace(variance=max(drawn.variance, missed.variance))


def drawn_otherwise(misdrawn: Sequence[Misdrawn]) -> list[DrawnOtherwise]:
    """Name what was not drawn as it was assigned."""
    return [
        DrawnOtherwise(
            variant=each.variant,
            drawn=each.drawn,
            exposures=each.n,
            exposure_ids=list(each.exposure_ids),
        )
        for each in misdrawn
    ]


def steps_of(counts: Counter[int]) -> list[Step]:
    """Line exposures up by stage, see `outcomes.STAGES`."""
    steps: list[Step] = []
    before = 0
    for code, name in STAGES.items():
        n = counts[code]
        steps.append(
            Step(stage=name, exposures=n, drop_off=1 - n / before if before and n else None)
        )
        before = n or before
    return steps
