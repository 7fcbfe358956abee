"""The engine that fills pages: from configuration, live model and what visitors did."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from socket import gethostname

import structlog

from models.errors import StoreError
from service.cpu.breath import breathe
from service.intake.opening import Intake
from service.learning.learner import NAME, BannerLearner
from service.opening.control import Control
from service.opening.ground import Ground
from service.opening.model import Model
from service.processes.forked_workers import is_one_of_several
from service.processes.readying import Readying
from service.processes.scorer_process import find_common_ground
from service.serve.engine import Clock, Engine
from service.serve.rates import RateBook
from service.serve.scorer_wire import ScorerLine
from service.serve.shared_candidates import SharedCandidates

_log = structlog.get_logger(__name__)


def open_engine(ground: Ground, control: Control, model: Model, intake: Intake) -> Engine:
    """Put the engine together; from then on a swap waits until it is ready for what comes."""
    current, live = control.current, model.live
    readying = ground.stack.enter_context(Readying(ground.home, model.artifacts))
    ground.keep_running(readying.watch)
    engine = Engine(
        configuration=current.get,
        snapshot=live.get,
        recent=intake.recents,
        people=intake.people,
        views=intake.banner_views,
        rates=_learn_banners(ground, control),
        pseudonymiser=ground.pseudonymiser,
        deadline_ms=ground.settings.deadline_ms,
        clock=Clock(now_ms=ground.now_ms),
        ready=readying.open,
        shared=_share_candidates(ground),
    )
    snapshot = live.get()
    if snapshot is not None:
        engine.prepare(snapshot)
    if engine.shared is not None and engine.shared.ask is not None:
        intake.recents.tell = engine.expect
    live.before_swap = partial(engine.prepare, breathe=breathe)
    current.before_swap = engine.prepare_configuration
    return engine


def _share_candidates(ground: Ground) -> SharedCandidates | None:
    """Find what other processes of this server work out, and leave them what this one does."""
    common = find_common_ground()
    if common is None:
        return None
    count = ground.metrics.shared_candidates.labels
    line = None
    if common.line is not None:
        line = ScorerLine(common.line, count("asked").inc, count("skipped").inc)
    return SharedCandidates(
        common.memory,
        count("found").inc,
        count("kept").inc,
        salt=common.salt,
        ask=None if line is None else line.ask,
        has_others=is_one_of_several(),
    )


def _learn_banners(ground: Ground, control: Control) -> RateBook:
    """Begin to learn click rates of banners, and to follow what is learned."""
    settings = ground.settings
    rates = RateBook(settings.banner_period_s * 1000)
    learner = BannerLearner(
        control.store,
        ground.events,
        control.current.get,
        rates.put,
        holder=ground.holder,
        now_ms=ground.now_ms,
        period_ms=rates.period_ms,
        half_life_days=settings.banner_half_life_days,
        lease=_lease(ground, control),
    )
    try:
        learner.read()
    except StoreError as error:  # such as for want of room; it is tried again
        _log.warning("banners_not_learned", reason=error.message)
    ground.stack.callback(learner.close)
    ground.keep_running(learner.watch)
    return rates


def _lease(ground: Ground, control: Control) -> str:
    """Name the lease: machines that share the configuration but no events
    learn each from its own."""
    is_own = control.store.is_shared and isinstance(ground.events, Path)
    return f"{NAME} of {gethostname()}:{ground.home.resolve()}" if is_own else NAME
