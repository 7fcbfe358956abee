"""Measure every recommender on a split that is given as two files."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
from rich.table import Table

from models.dataset import Dataset
from models.errors import InputError
from models.manifest import Interval, Tuning
from models.recommenders.settings import Settings
from models.vocabulary import MISSING_ROW, Vocabulary
from training.contest import Fitted, measure_all
from training.evaluate import intervals_of
from training.load import load_dataset
from training.mapping import Mapping
from training.progress import Progress
from training.report.headings import about_comparison
from training.report.page import Measured, write_report
from training.split import Split, unseen_pairs
from training.tune import tune, tuning_note


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The object that ``endcap evaluate --json`` prints."""

    n_users: int
    """Users with at least one test item."""
    n_items: int
    """Items that are ranked, the candidates."""
    seconds: float
    models: dict[str, dict[str, float]]
    intervals: dict[str, dict[str, Interval]]
    tuning: Tuning | None = None
    """Nothing with a budget of 0 seconds."""


def compare(
    train_files: Sequence[str],
    test_files: Sequence[str],
    catalog: Sequence[str],
    *,
    mapping: Mapping,
    ks: Sequence[int],
    progress: Progress,
    seed: int,
    only_new: bool,
    tune_seconds: float,
    report: Path | None = None,
) -> Comparison:
    """Tune and fit on one file, measure on the other; nothing is written but the page `report`.

    Raises
    ------
    InputError
        If no test user has a test item that could be found.
    """
    begin = time.perf_counter()
    with progress.step("read and clean"):
        split = load_split(train_files, test_files, catalog, mapping)
    n_candidates = _count_candidates(split, only_new)
    with progress.step("tune"):
        settings, tuning = tune(
            split.train, Settings(), budget_s=tune_seconds, seed=seed, clock=time.perf_counter
        )
    with progress.step("fit"):
        fitted = Fitted.on(split.train, settings, now_ms=split.now_ms, seed=seed)
    evaluations = measure_all(fitted, split, ks, progress, only_new=only_new)
    n_users = len(next(iter(next(iter(evaluations.values())).per_user.values()), []))
    if not n_users:
        raise InputError(
            f"no user of {', '.join(test_files)} has a test item to be found; is it the right file?"
        )
    with progress.step("bootstrap"):
        intervals = intervals_of(evaluations, seed)
    comparison = Comparison(
        n_users=n_users,
        n_items=n_candidates,
        seconds=round(time.perf_counter() - begin, 3),
        models={name: found.metrics for name, found in evaluations.items()},
        intervals=intervals,
        tuning=tuning,
    )
    if report is not None:
        measured = Measured(
            evaluations=evaluations,
            intervals=intervals,
            split=split,
            n_candidates=n_candidates,
            ks=ks,
            settings=settings,
            tuning_note=tuning_note(tuning),
        )
        write_report(report, about_comparison(train_files, test_files, n_users, measured), measured)
        progress.say(f"report: {report}")
    return comparison


def load_split(
    train_files: Sequence[str],
    test_files: Sequence[str],
    catalog: Sequence[str],
    mapping: Mapping,
) -> Split:
    """Read both files and number the test's users and items as the training's.

    A test user who is unknown gets a row without history; a test item that neither the training
    file nor the catalogue knows gets -1.
    """
    known = _read(train_files, catalog, mapping)
    later = _read(test_files, (), mapping)
    strangers = [user_id for user_id in later.user_ids if user_id not in known.user_ids]
    known = replace(known, user_ids=Vocabulary.from_ids([*known.user_ids, *strangers]))
    user_of = known.user_ids.rows(list(later.user_ids))
    item_of = known.item_ids.rows(list(later.item_ids))
    n_known = known.n_items
    # Unknown items are numbered beyond the known ones, so that each still counts as one.
    unknown = np.flatnonzero(item_of == MISSING_ROW)
    item_of[unknown] = n_known + np.arange(len(unknown), dtype=np.int32)
    users, items = unseen_pairs(
        known.interactions.user_rows,
        known.interactions.item_rows,
        user_of[later.interactions.user_rows],
        item_of[later.interactions.item_rows],
        n_known + len(unknown),
    )
    items[items >= n_known] = MISSING_ROW
    return Split(known, users, items, int(known.interactions.at_ms.max()))


def show_comparison(comparison: Comparison) -> Table:
    """Draw the figures, the best of each metric in bold."""
    table = Table("", title=f"{comparison.n_users} users, {comparison.n_items} items")
    for model in comparison.models:
        table.add_column(model, no_wrap=True, justify="right")
    for name in next(iter(comparison.models.values())):
        values = [found[name] for found in comparison.models.values()]
        table.add_row(
            name,
            *(f"[bold]{v:.4f}[/]" if v == max(values) else f"{v:.4f}" for v in values),
        )
    return table


def _count_candidates(split: Split, only_new: bool) -> int:
    """Count the items that are ranked: all, or those that nobody has met in the training file."""
    if not only_new:
        return split.train.n_items
    met = np.bincount(split.train.interactions.item_rows, minlength=split.train.n_items)
    n_new = int((met == 0).sum())
    if not n_new:
        raise InputError(
            "no item of the catalog is without interactions in the training file; "
            "give --catalog with the new items, or rank --candidates all"
        )
    return n_new


def _read(files: Sequence[str], catalog: Sequence[str], mapping: Mapping) -> Dataset:
    return load_dataset(
        files, catalog, mapping, pseudonym=lambda user_id: user_id, rejects=None
    ).dataset
