"""Puts a report together and renders it: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from models.durable import replace_file
from models.errors import InputError
from models.manifest import Blend, Interval
from models.recommenders.settings import Settings
from training.evaluate import Evaluation
from training.report.charts import (
    HEIGHT,
    WIDTH,
    DotChart,
    LineChart,
    dot_chart,
    line_chart,
)
from training.report.figures import Group, by_activity, by_item_age, coverage_curves
from training.split import Split

SHOWN_METRICS = ("ndcg", "recall", "hit_rate")


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table."""

    text: str
    is_best: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table."""

    name: str
    cells: list[Cell]
    is_best: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """What a report is about."""

    title: str
    subtitle: str
    facts: list[tuple[str, str]]
    warnings: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was measured: every recommender on one split, with what settings."""

    evaluations: Mapping[str, Evaluation]
    intervals: Mapping[str, Mapping[str, Interval]]
    split: Split
    n_candidates: int
    ks: Sequence[int]
    settings: Settings
    tuning_note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    """Everything that the template shows."""

    title: str
    subtitle: str
    facts: list[tuple[str, str]]
    warnings: Sequence[str]
    names: list[str]
    metrics: list[DotChart]
    activity: list[DotChart]
    activity_note: str
    ages: list[DotChart]
    age_note: str
    coverage: LineChart
    table: list[Row]
    settings: list[Row]
    tuning_note: str


def write_report(path: Path, heading: Heading, measured: Measured) -> None:
    """Write the page in one step.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    try:
        replace_file(path, render(heading, measured).encode())
    except OSError as error:
        raise InputError(
            f"cannot write the report {path}: {error}; choose a folder that exists and is writable"
        ) from error


def render(heading: Heading, measured: Measured) -> str:
    """Return the page as HTML; names from outside are escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    page = environment.get_template("page.html")
    return page.render(report=_page(heading, measured), width=WIDTH, height=HEIGHT)


def _page(heading: Heading, measured: Measured) -> _Page:
    evaluations, k = measured.evaluations, max(measured.ks)
    colours = {name: number % 5 for number, name in enumerate(evaluations)}
    metric = f"ndcg@{k}"
    metrics = [
        dot_chart(
            f"{name}@{length}",
            _MEANING[name].format(k=length),
            {model: found[f"{name}@{length}"] for model, found in measured.intervals.items()},
            colours,
        )
        for length in measured.ks
        for name in SHOWN_METRICS
    ]
    return _Page(
        title=heading.title,
        subtitle=heading.subtitle,
        facts=heading.facts,
        warnings=heading.warnings,
        names=list(evaluations),
        metrics=metrics,
        activity=_group_charts(
            by_activity(evaluations, measured.split, metric), colours, "{} items known", "users"
        ),
        activity_note=f"{metric} of users by the number of different items in their history.",
        ages=_group_charts(
            by_item_age(evaluations, measured.split, k), colours, "{}", "test pairs"
        ),
        age_note=f"Share of the test items found in the first {k}, by the time since the item's "
        "first interaction.",
        coverage=line_chart(coverage_curves(evaluations, measured.n_candidates), colours),
        table=_table({name: found.metrics for name, found in evaluations.items()}),
        settings=_settings(measured),
        tuning_note=measured.tuning_note,
    )


_MEANING = {
    "ndcg": "how high the chosen items stand in the first {k}",
    "recall": "share of a user's chosen items in the first {k}",
    "hit_rate": "share of users with a chosen item in the first {k}",
}


def _group_charts(
    groups: Sequence[Group], colours: Mapping[str, int], title: str, unit: str
) -> list[DotChart]:
    """Draw the groups on one scale, so that they can be compared."""
    top = max((f.high for group in groups for f in group.figures.values()), default=0.0)
    return [
        dot_chart(title.format(one.label), f"{one.n:,} {unit}", one.figures, colours, top)
        for one in groups
    ]


def _table(metrics: Mapping[str, Mapping[str, float]]) -> list[Row]:
    names = list(next(iter(metrics.values()), {}))
    rows = []
    for name in names:
        values = [found[name] for found in metrics.values()]
        cells = [Cell(f"{value:.4f}", value == max(values)) for value in values]
        rows.append(Row(name, cells))
    return rows


def _settings(measured: Measured) -> list[Row]:
    """List every number that was chosen beside the shipped one; what differs is marked."""
    shipped = Settings()
    here = {**_blend_numbers(measured.settings.blend), **measured.settings.numbers()}
    usual = {**_blend_numbers(shipped.blend), **shipped.numbers()}
    return [
        Row(name, [Cell(_show(value)), Cell(_show(usual[name]))], value != usual[name])
        for name, value in here.items()
    ]


def _blend_numbers(blend: Blend) -> dict[str, object]:
    return {name: getattr(blend, name) for name in blend.__struct_fields__}


def _show(value: object) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(_show(one) for one in value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)
