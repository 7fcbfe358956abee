"""Train a model version: read, fit, evaluate, gate, publish, and move `live`."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from models.artifact import ArtifactStore
from models.dataset import Dataset
from models.errors import ArtifactError, InputError
from models.manifest import Drift, Gate, Interval, Manifest, Tuning
from models.recommenders.blocks import end_if_over, is_over, one_blas_thread
from models.recommenders.content import Content
from models.recommenders.fitting import Basis, begin_fit
from models.recommenders.hybrid import Hybrid, begin_hybrid
from models.recommenders.settings import Settings
from models.recommenders.tasks import Tasks, side_by_side
from models.running_trainings import Erased
from training.build import Surroundings
from training.candidate import beside, draft_manifest
from training.contest import KS, MAX_GATE_USERS, Fitted, LiveContest, run_against, run_contest
from training.load import Loaded
from training.order import REJECTS_FILE, TrainOrder
from training.progress import Progress
from training.report.headings import about_version
from training.report.page import Measured, write_report
from training.split import Split, split_newest
from training.telling import say_drift, say_published, say_rows
from training.tune import tune, tuning_note
from training.unlisted import Unlisted
from training.verdicts import RowCounts

REPORT_FILE = "report.html"


class TrainReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a training run did; the object that ``--json`` prints."""

    version: str
    parent: str | None
    live: str | None
    """The live version when the run ended."""
    gate: Gate
    rows: dict[str, RowCounts]
    """Of ``interactions`` and ``catalog``: read, kept, dropped by rule, rejected by reason."""
    report: str | None
    """The page of pictures; nothing where it could not be written."""
    rejects: str
    """The file of the rejected rows."""
    taken_back: int
    """Purchases that later refunds took back as a whole."""
    unlisted: Unlisted | None
    """Items that the catalogue does not list; nothing where it lists all."""
    counts: dict[str, int]
    drift: Drift | None
    """From the live version's input; nothing for the first version."""
    metrics: dict[str, dict[str, float]]
    intervals: dict[str, dict[str, Interval]]
    n_test_users: int
    seed: int
    seconds: dict[str, float]


def train(
    order: TrainOrder,
    load: Callable[[], Loaded],
    progress: Progress,
    clock_ms: Callable[[], int],
    erased: Erased,
) -> TrainReport:
    """Run all steps; live is moved only if the gate lets the candidate pass.

    `load` gives the data, or waits for them if they are being read already. Who is `erased` by
    the time they are learnt is left out.

    Raises
    ------
    InputError
        If the data cannot be learnt from.
    ArtifactError
        If the version cannot be written; live is then where it was.
    """
    store = ArtifactStore(order.home)
    with side_by_side(progress.step) as tasks, progress.shown():
        # Polars leaves the interpreter to it while the files are read.
        tasks.begin("load the library of tables", ArtifactStore.prepare)
        with progress.step("read and clean"):
            loaded = load()
        say_rows(loaded, order, progress)
        seen = store.live_version()
        live = _live_manifest(store, seen, progress)
        with progress.step("tune"):
            # On the past only: what the contest is judged by must not have chosen the weights.
            newest = split_newest(loaded.dataset, seed=order.seed)
            settings, tuning = _tune(newest, order)
        order = replace(order, settings=settings)
        draft = draft_manifest(order, loaded, tuning, live)
        say_drift(draft, progress)
        with one_blas_thread():
            learning = _begin(tasks, loaded.dataset, newest, order)
            version, contest = _publish(
                tasks,
                store,
                learning,
                order,
                draft,
                live=live,
                seen=seen,
                progress=progress,
                clock_ms=clock_ms,
                erased=erased,
            )
    manifest = store.manifest(version)
    progress.say(f"version {version}: {manifest.gate.verdict}, {manifest.gate.reason}")
    page = _write_page(
        order.report or store.folder(version) / REPORT_FILE,
        manifest,
        order.settings,
        contest,
        progress,
    )
    return _report(order, loaded, manifest, contest, progress, live=store.live_version(), page=page)


def _tune(newest: Split, order: TrainOrder) -> tuple[Settings, Tuning | None]:
    return tune(
        newest.train,
        order.settings,
        budget_s=order.tune_seconds,
        seed=order.seed,
        clock=time.perf_counter,
    )


@dataclass(frozen=True, slots=True)
class _Learning:
    """What the gate looks at, and functions that wait for what is published."""

    fitted: Fitted
    split: Split
    surroundings: Callable[[], Surroundings]
    hybrid: Callable[[], Hybrid]


def _begin(tasks: Tasks, dataset: Dataset, newest: Split, order: TrainOrder) -> _Learning:
    """Begin to fit on the past and on all data side by side."""
    settings, seed = order.settings, order.seed
    split = newest.sample_users(MAX_GATE_USERS, seed=seed)
    # Scores are asked for after the newest interaction, never at the hour of the training run.
    now_ms = int(dataset.interactions.at_ms.max())
    past = begin_fit(tasks, "past", split.train, settings, now_ms=split.now_ms, seed=seed)
    # The catalogue is the same for the past and for all data.
    content = tasks.begin(
        "content", lambda: Content.fit(dataset, settings, now_ms=now_ms, seed=seed)
    )
    fit = begin_fit(tasks, "all", dataset, settings, now_ms=now_ms, seed=seed, after=past)

    def surround(on: Basis, content: Content) -> Surroundings:
        popularity = on.trend().popularity
        return Surroundings.of(dataset, on.histories, popularity, content.embedding, settings.blend)

    tables = tasks.begin("all: tables", surround, fit.basis, content)
    hybrid = begin_hybrid(tasks, "all", fit, settings)
    return _Learning(Fitted.begin(tasks, past, content, settings), split, tables, hybrid)


def _publish(
    tasks: Tasks,
    store: ArtifactStore,
    learning: _Learning,
    order: TrainOrder,
    draft: Manifest,
    *,
    live: Manifest | None,
    seen: str | None,
    progress: Progress,
    clock_ms: Callable[[], int],
    erased: Erased,
) -> tuple[str, LiveContest]:
    """Write the version while the contest goes on, and move live if the gate lets it pass.

    Another version than the one `seen` may be live by then, of a training that ran beside this
    one: what counts is that this one is not worse than that whose place it takes.
    """
    measured: Future[LiveContest] = Future()

    def complete(manifest: Manifest) -> Manifest:
        contest = measured.result()
        # Nobody else can publish now.
        now = store.live_version()
        if now != seen:
            progress.say(f"version {now} went live meanwhile, and is the one to compare with")
            newer = _live_manifest(store, now, progress)
            contest = run_against(newer, contest, order.settings, progress)
            manifest = beside(manifest, newer)
            say_drift(manifest, progress)
        gate = contest.judge(is_forced=order.is_forced)
        # Whoever stops the run now finds nothing of the version; from here on it goes out whole.
        end_if_over()
        return msgspec.structs.replace(
            manifest, metrics=contest.metrics(), intervals=contest.intervals, gate=gate
        )

    def write(hybrid: Hybrid, surroundings: Surroundings) -> str:
        manifest = msgspec.structs.replace(draft, blend=hybrid.blend, created_at_ms=clock_ms())
        version = store.publish(
            surroundings.around(hybrid, manifest), complete, erased=erased, goes_live=True
        )
        if is_over()():
            say_published(store, version, progress)
        return version

    version = tasks.begin("all: write", write, learning.hybrid, learning.surroundings)
    try:
        split, settings = learning.split, order.settings
        contest = run_contest(learning.fitted, split, settings, live, progress, seed=order.seed)
        measured.set_result(contest)
    finally:
        # After an error nobody waits for a verdict, and nothing of the version is left.
        measured.cancel()
    with progress.step("publish"):
        return version(), contest


def _report(
    order: TrainOrder,
    loaded: Loaded,
    manifest: Manifest,
    contest: LiveContest,
    progress: Progress,
    *,
    live: str | None,
    page: Path | None,
) -> TrainReport:
    return TrainReport(
        version=manifest.version,
        parent=manifest.parent,
        live=live,
        gate=manifest.gate,
        rows=loaded.rows,
        report=None if page is None else str(page),
        rejects=str(order.home / REJECTS_FILE),
        taken_back=loaded.n_taken_back,
        unlisted=loaded.unlisted,
        counts=manifest.counts,
        drift=manifest.drift,
        metrics=contest.metrics(),
        intervals=contest.intervals,
        n_test_users=contest.n_users,
        seed=order.seed,
        seconds=progress.seconds,
    )


def _write_page(
    page: Path,
    manifest: Manifest,
    settings: Settings,
    contest: LiveContest,
    progress: Progress,
) -> Path | None:
    """Write the page of pictures, and return where it is; a disk that is full is told."""
    measured = Measured(
        evaluations=contest.evaluations,
        intervals=contest.intervals,
        split=contest.split,
        n_candidates=contest.split.train.n_items,
        ks=KS,
        settings=msgspec.structs.replace(settings, blend=manifest.blend),
        tuning_note=tuning_note(manifest.tuning)
        + " What differs from the shipped settings is bold.",
    )
    try:
        write_report(page, about_version(manifest, contest.n_users), measured)
    except InputError as error:
        # The version is published: a page that is missing does not make the run a failed one.
        progress.say(f"{error.message}; the version is whole without it")
        return None
    progress.say(f"report: {page}")
    return page


def _live_manifest(
    store: ArtifactStore, version: str | None, progress: Progress
) -> Manifest | None:
    if version is None:
        return None
    try:
        manifest = store.manifest(version)
        manifest.check_format()
    except ArtifactError as error:
        progress.say(f"the live version cannot be compared with: {error}")
        return None
    return manifest
