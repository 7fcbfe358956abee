"""Fit every recommender on the past and measure each on the newest weeks, for the gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from models.dataset import Dataset
from models.manifest import Gate, Interval, Manifest
from models.recommenders.als import Als
from models.recommenders.content import Content
from models.recommenders.hybrid import Hybrid
from models.recommenders.item_graph import ItemGraph
from models.recommenders.popularity import Popularity
from models.recommenders.recommender import Recommender
from models.recommenders.settings import Settings
from training.evaluate import Evaluation, evaluate, paired_difference
from training.gate import METRIC, decide
from training.progress import Progress
from training.split import Split, split_newest

RECOMMENDERS: tuple[type[Recommender], ...] = (Popularity, ItemGraph, Als, Content, Hybrid)
GATE_RECOMMENDERS: tuple[type[Recommender], ...] = (Popularity, Hybrid)
"""The gate asks for no others; `endcap evaluate` measures them all."""
KS = (10, 20)
MAX_GATE_USERS = 2_000
"""Drawn at random where more could be measured: enough to tell a worse model by."""


@dataclass(frozen=True, slots=True)
class LiveContest:
    """Evaluations by recommender name, and that of the live version's settings if they differ."""

    evaluations: dict[str, Evaluation]
    live: Evaluation | None
    split: Split
    seed: int

    @property
    def n_users(self) -> int:
        """How many users were measured."""
        return self.split.n_users

    def metrics(self) -> dict[str, dict[str, float]]:
        """Return recommender → metric → value."""
        return {name: evaluation.metrics for name, evaluation in self.evaluations.items()}

    def intervals(self, seed: int) -> dict[str, dict[str, Interval]]:
        """Return recommender → metric → mean with its interval."""
        return {name: found.intervals(seed) for name, found in self.evaluations.items()}

    def judge(self, live: str | None, *, is_forced: bool) -> Gate:
        """Let the gate decide about the hybrid."""
        ours = self.evaluations[Hybrid.name]
        if not self.n_users:
            return decide(
                n_users=0,
                against_popularity=None,
                against_live=None,
                live=live,
                is_forced=is_forced,
            )
        popularity = self.evaluations[Popularity.name]
        return decide(
            n_users=self.n_users,
            against_popularity=paired_difference(ours, popularity, METRIC, self.seed),
            against_live=(
                paired_difference(ours, self.live, METRIC, self.seed) if self.live else None
            ),
            live=live,
            is_forced=is_forced,
        )


def run_contest(
    dataset: Dataset, settings: Settings, live: Manifest | None, progress: Progress, *, seed: int
) -> LiveContest:
    """Measure the hybrid and popularity on the newest part of `dataset`.

    The live version has mostly seen that part already, and would be praised for its memory. So its
    settings are fitted on the same past as the candidate's: what is compared is how they learn.
    """
    split = split_newest(dataset, seed=seed).sample_users(MAX_GATE_USERS, seed=seed)
    evaluations = measure_all(
        split, settings, KS, progress, seed=seed, recommenders=GATE_RECOMMENDERS
    )
    of_live = None
    if live is not None:
        of_live = evaluations[Hybrid.name]
        theirs = live_settings(live, settings)
        if theirs != settings:
            with progress.step("fit and rank with the live settings"):
                fitted = Hybrid.fit(split.train, theirs, now_ms=split.now_ms, seed=seed)
                of_live = evaluate(fitted, split, KS)
    return LiveContest(evaluations, of_live, split, seed)


def measure_all(
    split: Split,
    settings: Settings,
    ks: Sequence[int],
    progress: Progress,
    *,
    seed: int,
    only_new: bool = False,
    recommenders: Sequence[type[Recommender]] = RECOMMENDERS,
) -> dict[str, Evaluation]:
    """Fit and evaluate recommenders on one split."""
    evaluations = {}
    for kind in recommenders:
        with progress.step(f"fit and rank: {kind.name}"):
            fitted = kind.fit(split.train, settings, now_ms=split.now_ms, seed=seed)
            evaluations[kind.name] = evaluate(fitted, split, ks, only_new=only_new)
    return evaluations


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
