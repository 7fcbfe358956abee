"""Choose the weights of the hybrid's parts within a time budget, on a slice of the training data.

The parts are fitted once on what is left of the data; a trial only adds their scores up anew. The
weights are chosen on one half of the users, and kept only if they clearly beat the shipped ones on
the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.dataset import Dataset
from models.distinct import distinct
from models.histories import Histories
from models.manifest import Tuning
from models.recommenders.blocks import map_blocks, one_blas_thread
from models.recommenders.fitting import fit_parts
from models.recommenders.parts import Parts
from models.recommenders.settings import Settings
from training.metrics import bootstrap, draw_lots, ndcg, top_lists
from training.validation import split_validation

N_TRIALS = 40
N_STARTUP_TRIALS = 10
MAX_USERS = 2_000
MIN_USERS = 100
"""Fewer cannot tell chance from gain."""
MAX_VALUES = 40_000_000
"""Scores held per part, 160 MB."""
RANGE = 4.0
"""Weights are tried from a fourth to four times the shipped ones."""
USERS_PER_BLOCK = 100
KS = (10, 20)


def tune(
    dataset: Dataset,
    settings: Settings,
    *,
    budget_s: float,
    seed: int,
    clock: Callable[[], float],
) -> tuple[Settings, Tuning | None]:
    """Return the settings to fit with, and what tuning found; nothing with a budget of 0.

    The result is the same for the same data and seed unless the time ran out, which it says.
    """
    if budget_s <= 0 or not len(dataset.interactions):
        return settings, None
    begin = clock()
    n_users = min(MAX_USERS, MAX_VALUES // max(len(distinct(dataset.interactions.item_rows)), 1))
    split = split_validation(dataset, seed=seed, max_users=n_users)
    users = distinct(split.test_users)
    if len(users) < MIN_USERS or not len(split.train.interactions):
        return settings, None
    with one_blas_thread():
        parts = fit_parts(split.train, settings, now_ms=split.now_ms, seed=seed)
    histories = Histories.of(split.train.interactions, dataset.n_users, split.now_ms).take(users)
    place = np.searchsorted(users, split.test_users)
    # What nobody has met is scored by none of these weights, but by what its attributes say.
    met = distinct(split.train.interactions.item_rows)
    column = np.searchsorted(met, split.test_items).clip(max=len(met) - 1)
    is_met = met[column] == split.test_items
    trial = Trial(
        scores=part_scores(parts, histories, settings, met),
        pairs=place[is_met].astype(np.int64) * len(met) + column[is_met],
        n_relevant=np.bincount(place, minlength=len(users)),
        lots=draw_lots(dataset.item_ids)[met],
    )
    chosen, n_trials = _search(trial, settings, budget_s - (clock() - begin), seed)
    is_judge = np.arange(len(users)) % 2 == 1
    default, tuned = trial.ndcg(settings), trial.ndcg(chosen)
    gain = bootstrap((tuned - default)[is_judge], np.random.default_rng(seed))
    is_kept = gain.low > 0
    tuning = Tuning(
        n_trials=n_trials,
        n_users=len(users),
        default_ndcg=float(default[is_judge].mean()),
        tuned_ndcg=float(tuned[is_judge].mean()),
        gain=gain,
        is_kept=is_kept,
        is_repeatable=n_trials == N_TRIALS,
        weights={name: getattr(chosen, name) for name in _names(trial)},
    )
    return chosen if is_kept else settings, tuning


def tuning_note(tuning: Tuning | None) -> str:
    """Say in a sentence or two what tuning found."""
    if tuning is None:
        return "The shipped weights; nothing was tuned."
    weights = ", ".join(f"{name} {value:g}" for name, value in tuning.weights.items())
    return (
        f"{tuning.n_trials} trials on {tuning.n_users} users of a slice of the training data: "
        f"NDCG {tuning.default_ndcg:.4f} with the shipped weights, {tuning.tuned_ndcg:.4f} with "
        f"the best ({weights}, as multiples of the shipped ones). "
        + ("The best were taken." if tuning.is_kept else "That is not surely better: not taken.")
    )


@dataclass(frozen=True, slots=True)
class Trial:
    """The scores of every part for the users of the validation, and what they chose."""

    scores: dict[str, NDArray[np.float32]]
    """By the name of the weight in `Settings`; (n_users, n_candidates), own items -inf."""
    pairs: NDArray[np.int64]
    """``place of the user * n_candidates + column`` of what each went on to choose."""
    n_relevant: NDArray[np.int64]
    lots: NDArray[np.int64]

    def ndcg(self, settings: Settings) -> NDArray[np.float64]:
        """Return the mean of NDCG@10 and NDCG@20 of each user."""
        n_users, n_candidates = next(iter(self.scores.values())).shape

        def rank(rows: slice) -> NDArray[np.int64]:
            total = np.zeros((rows.stop - rows.start, n_candidates), dtype=np.float32)
            for name, scores in self.scores.items():
                total += np.float32(getattr(settings, name)) * scores[rows]
            return top_lists(total, self.lots, max(KS))

        lists = np.concatenate(map_blocks(n_users, USERS_PER_BLOCK, rank))
        hits = np.isin(np.arange(n_users)[:, np.newaxis] * n_candidates + lists, self.pairs)
        hits &= lists >= 0
        both = [ndcg(hits, self.n_relevant, k) for k in KS]
        return np.asarray(np.mean(both, axis=0), dtype=np.float64)


def part_scores(
    parts: Parts, histories: Histories, settings: Settings, candidates: NDArray[np.integer]
) -> dict[str, NDArray[np.float32]]:
    """Score every part alone at its shipped weight, as `merge` adds them up.

    `candidates` are items, ascending, those of the histories among them.
    """
    regime, lift = parts.regime, parts.lift[candidates]
    shares = histories.shares(settings.blend, len(parts.lift))
    popularity = np.float32(regime.popularity * parts.popularity_unit)
    spectral = (shares @ parts.spectral.fold_in) @ parts.spectral.factors[candidates].T
    als = (shares @ parts.als.fold_in) @ parts.als.factors[candidates].T
    scores = {
        "graph_weight": regime.graph * (shares @ parts.graph[:, candidates]).toarray() * lift,
        "spectral_weight": regime.spectral * spectral * lift,
        "als_weight": regime.als * als * lift,
        "popularity_weight": np.tile(
            popularity * parts.popularity[candidates], (len(histories), 1)
        ),
    }
    if parts.likeness.nnz:
        alike = (shares @ parts.likeness[:, candidates]).toarray()
        scores["attribute_weight"] = regime.attributes * alike * lift
    owners = np.repeat(np.arange(len(histories)), np.diff(histories.items.offsets))
    own = np.searchsorted(candidates, histories.items.rows)
    for part in scores.values():
        part[owners, own] = -np.inf
    return {name: part.astype(np.float32) for name, part in scores.items()}


def _names(trial: Trial) -> list[str]:
    """Name the weights that are searched; only ratios matter, so one is the unit."""
    return sorted(name for name in trial.scores if name != "spectral_weight")


def _search(trial: Trial, settings: Settings, seconds: float, seed: int) -> tuple[Settings, int]:
    import optuna  # noqa: PLC0415  # a second to import; most commands do without

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    names = _names(trial)

    def objective(attempt: optuna.Trial) -> float:
        weights = {name: attempt.suggest_float(name, 1 / RANGE, RANGE, log=True) for name in names}
        per_user = trial.ndcg(msgspec.structs.replace(settings, **weights))
        return float(per_user[::2].mean())

    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=N_STARTUP_TRIALS)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.enqueue_trial(dict.fromkeys(names, 1.0))
    study.optimize(objective, n_trials=N_TRIALS, timeout=max(seconds, 1.0))
    # Three digits: the weights of a version are to be read.
    best = {name: float(f"{value:.3g}") for name, value in study.best_params.items()}
    return msgspec.structs.replace(settings, **best), len(study.trials)
