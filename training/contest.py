"""Fit every recommender on the past and measure each on the newest weeks, for the gate.

The item graph and the ALS that are measured alone are those inside the hybrid: one fit is enough.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import msgspec
from scipy.sparse import csr_matrix

from models.dataset import Dataset
from models.manifest import Gate, Interval, Manifest
from models.ragged import Neighbours
from models.recommenders.als import Als
from models.recommenders.blocks import one_blas_thread
from models.recommenders.content import Content
from models.recommenders.fitting import Fit, begin_fit
from models.recommenders.hybrid import Hybrid, begin_hybrid
from models.recommenders.item_graph import ItemGraph
from models.recommenders.popularity import Popularity
from models.recommenders.recommender import Recommender
from models.recommenders.settings import Settings
from models.recommenders.tasks import Tasks, side_by_side
from training.evaluate import Evaluation, Ground, evaluate, intervals_of, paired_difference
from training.gate import METRIC, decide
from training.progress import Progress
from training.split import Split

KS = (10, 20)
SHOWN_ORDER = (Popularity.name, ItemGraph.name, Als.name, Content.name, Hybrid.name)
MAX_GATE_USERS = 2_000
"""Drawn at random where more could be measured: enough to tell a worse model by."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """Every recommender fitted on one dataset; each function waits until it is."""

    recommenders: dict[str, Callable[[], Recommender]]
    """By name, those that are there first at the beginning."""

    @classmethod
    def on(cls, dataset: Dataset, settings: Settings, *, now_ms: int, seed: int) -> Self:
        """Fit all of them."""
        with one_blas_thread(), side_by_side() as tasks:
            fit = begin_fit(tasks, "fit", dataset, settings, now_ms=now_ms, seed=seed)
            content = Content.fit(dataset, settings, now_ms=now_ms, seed=seed)
            fitted = cls.begin(tasks, fit, lambda: content, settings)
            for recommender in fitted.recommenders.values():
                recommender()
            return fitted

    @classmethod
    def begin(
        cls, tasks: Tasks, fit: Fit, content: Callable[[], Content], settings: Settings
    ) -> Self:
        """Merge the parts of the hybrid, and take those that stand alone from them."""

        def popularity() -> Popularity:
            return Popularity(fit.basis().trend().popularity)

        def graph(edges: csr_matrix) -> ItemGraph:
            return ItemGraph(Neighbours.from_csr(edges, settings.graph_k), settings)

        def als() -> Als:
            trained = fit.als()
            return Als(trained.factors[1], trained.mean_weight, settings)

        return cls(
            {
                Popularity.name: popularity,
                Content.name: content,
                ItemGraph.name: tasks.begin("past: item graph", graph, fit.graph),
                Als.name: als,
                Hybrid.name: begin_hybrid(tasks, "past", fit, settings),
            }
        )


@dataclass(frozen=True, slots=True)
class LiveContest:
    """Evaluations by recommender name, and that of the live version's settings if they differ."""

    evaluations: dict[str, Evaluation]
    intervals: dict[str, dict[str, Interval]]
    """Recommender → metric → mean with its interval."""
    live: Evaluation | None
    against: str | None
    """The live version that `live` is of."""
    split: Split
    seed: int

    @property
    def n_users(self) -> int:
        """How many users were measured."""
        return self.split.n_users

    def metrics(self) -> dict[str, dict[str, float]]:
        """Return recommender → metric → value."""
        return {name: evaluation.metrics for name, evaluation in self.evaluations.items()}

    def judge(self, *, is_forced: bool) -> Gate:
        """Let the gate decide about the hybrid."""
        ours = self.evaluations[Hybrid.name]
        if not self.n_users:
            return decide(
                n_users=0,
                against_popularity=None,
                against_live=None,
                live=self.against,
                is_forced=is_forced,
            )
        popularity = self.evaluations[Popularity.name]
        return decide(
            n_users=self.n_users,
            against_popularity=paired_difference(ours, popularity, METRIC, self.seed),
            against_live=(
                paired_difference(ours, self.live, METRIC, self.seed) if self.live else None
            ),
            live=self.against,
            is_forced=is_forced,
        )


def run_contest(
    fitted: Fitted,
    split: Split,
    settings: Settings,
    live: Manifest | None,
    progress: Progress,
    *,
    seed: int,
) -> LiveContest:
    """Measure every recommender, fitted on the past, on what came after it.

    The live version has mostly seen that part already, and would be praised for its memory. So its
    settings are fitted on the same past as the candidate's: what is compared is how they learn.
    """
    evaluations = measure_all(fitted, split, KS, progress)
    of_live = _measure_live(live, evaluations[Hybrid.name], split, settings, progress, seed=seed)
    with progress.step("bootstrap"):
        intervals = intervals_of(evaluations, seed)
    against = live.version if live else None
    return LiveContest(evaluations, intervals, of_live, against, split, seed)


def run_against(
    other: Manifest | None, contest: LiveContest, settings: Settings, progress: Progress
) -> LiveContest:
    """Compare with another version, which went live after a contest had begun."""
    ours, split = contest.evaluations[Hybrid.name], contest.split
    of_live = _measure_live(other, ours, split, settings, progress, seed=contest.seed)
    return replace(contest, live=of_live, against=other.version if other else None)


def _measure_live(
    live: Manifest | None,
    ours: Evaluation,
    split: Split,
    settings: Settings,
    progress: Progress,
    *,
    seed: int,
) -> Evaluation | None:
    if live is None:
        return None
    theirs = live_settings(live, settings)
    if theirs == settings:
        return ours
    with progress.step("fit and rank with the live settings"):
        other = Hybrid.fit(split.train, theirs, now_ms=split.now_ms, seed=seed)
        return evaluate(other, split, KS)


def measure_all(
    fitted: Fitted, split: Split, ks: Sequence[int], progress: Progress, *, only_new: bool = False
) -> dict[str, Evaluation]:
    """Evaluate every recommender on one split."""
    found, ground = {}, Ground.of(split)
    for name, fitted_one in fitted.recommenders.items():
        one = fitted_one()
        with progress.step(f"rank: {name}"):
            found[name] = evaluate(one, split, ks, only_new=only_new, ground=ground)
    return {name: found[name] for name in SHOWN_ORDER}


def live_settings(live: Manifest, settings: Settings) -> Settings:
    """Read the settings of the live version back; what it did not know stays as in `settings`."""
    numbers = {
        name: type(getattr(settings, name))(value)
        for name, value in live.hyperparameters.items()
        if name in settings.numbers()
    }
    # These two are worked out anew by every fit.
    blend = msgspec.structs.replace(
        live.blend,
        factor_weight=settings.blend.factor_weight,
        popularity_weight=settings.blend.popularity_weight,
    )
    return msgspec.structs.replace(settings, blend=blend, **numbers)
