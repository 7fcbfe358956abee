"""The composition root: builds every adapter, wires them into `Services`, makes the app."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from secrets import token_hex

import msgspec
from litestar import Litestar
from litestar.exceptions import HTTPException
from litestar.types import ControllerRouterHandler
from threadpoolctl import threadpool_limits

from models.artifact import ArtifactStore
from models.errors import EndcapError
from models.pseudonym import load_pseudonymiser
from service.access import guard
from service.background import keep_running
from service.catalogue.reader import CatalogueReader
from service.changes import ChangeHub
from service.console.attempts import SignInAttempts
from service.console.console import Console
from service.console.key_names import KeyNames
from service.console.plotter import Plotter
from service.console.session import Sessions
from service.console.traffic import TrafficWindow
from service.control.current import CurrentConfiguration
from service.control.plane import ControlPlane
from service.cors import cors_config, vary_by_origin
from service.drain import on_stop_signal
from service.insights.reader import InsightsReader
from service.intake.opening import open_intake
from service.json_body import JsonBody
from service.learning.learner import BannerLearner
from service.live_model import LiveModel
from service.logs import configure_logs
from service.measured import MeasuredApp
from service.metrics import Metrics
from service.openapi import ExactStructs, describe_api, describe_scopes
from service.privacy.retention_runner import RetentionRunner
from service.privacy.worker_memory import WorkerMemory
from service.problems import (
    answer_bad_value,
    answer_endcap_error,
    answer_http_exception,
    answer_too_deep,
    answer_unexpected,
)
from service.readying import Readying
from service.reports.lift_keeper import LiftKeeper
from service.reports.ramp_runner import RampRunner
from service.reports.rollup_keeper import RollupKeeper
from service.routes import health
from service.routes.banners import BannerController
from service.routes.browser import read_script, read_types
from service.routes.catalogue import CatalogueController
from service.routes.changes import stream_changes
from service.routes.clients import CLIENT_ROUTES
from service.routes.console import console_router
from service.routes.events import post_events
from service.routes.history import HISTORY_ROUTES
from service.routes.insights import read_insights
from service.routes.items import ItemController
from service.routes.keys import KeyController
from service.routes.layers import HoldoutController, LayerController
from service.routes.models import ModelController
from service.routes.ofrep import ofrep
from service.routes.pictures import PictureController
from service.routes.placements import PlacementController
from service.routes.privacy import erase_user, export_user, read_notice
from service.routes.proposals import ProposalController
from service.routes.reach import preview_change
from service.routes.reports import read_report
from service.routes.rollouts import RolloutController
from service.routes.rules import RuleController
from service.routes.segments import SegmentController
from service.routes.serve import serve_page
from service.routes.shoppers import ShopperController
from service.routes.storefront import STOREFRONT_PAGES
from service.routes.storefront_files import STOREFRONT_FILES
from service.serve.engine import Clock, Engine
from service.serve.rates import RateBook
from service.services import STATE_KEY, Services
from service.settings import Settings, settings_from_environment
from service.shopper.reader import ShopperReader
from service.storefront.shop import open_storefront
from service.stores.control import ControlStore
from service.stores.control_reader import ControlReader
from service.stores.erasures import ErasureReader
from service.stores.event_database import EVENTS_FILE
from service.stores.segment_files import SegmentFiles
from service.tickets import Tickets

SUPERVISOR_VARIABLE = "ENDCAP_SUPERVISOR_PID"
SWITCH_INTERVAL_S = 0.0005
"""How long pages keep the interpreter lock from the threads that read and write the store; at the
default of 5 ms one read of the store, which takes the lock a few times, misses the deadline."""

COLLECT_AFTER = 5_000, 20, 100
"""Thresholds of the garbage collector. A full collection looks at all that a worker keeps and stops
it for 50 ms; at the defaults there was one every twenty thousand pages."""

ROUTES: list[ControllerRouterHandler] = [
    PlacementController,
    BannerController,
    RuleController,
    PictureController,
    RolloutController,
    ProposalController,
    LayerController,
    HoldoutController,
    SegmentController,
    ItemController,
    CatalogueController,
    read_insights,
    ShopperController,
    KeyController,
    ModelController,
    post_events,
    *CLIENT_ROUTES,
    read_script,
    read_types,
    serve_page,
    ofrep,
    stream_changes,
    read_report,
    read_notice,
    export_user,
    erase_user,
    preview_change,
    *HISTORY_ROUTES,
    health.live,
    health.ready,
    health.head_health,
    health.metrics,
]
STOREFRONT: list[ControllerRouterHandler] = [*STOREFRONT_PAGES, *STOREFRONT_FILES]


def wall_clock_ms() -> int:
    """Read the system's clock as epoch ms."""
    return time.time_ns() // 1_000_000


def app_from_environment() -> Litestar:
    """Make the app of a worker process; `service.run` has put the settings into the environment."""
    settings = settings_from_environment()
    configure_logs(settings.log_level)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    # A score is a fraction of a millisecond of linear algebra: sharing it between the cores, which
    # the other workers use too, costs ten times that.
    threadpool_limits(limits=1, user_api="blas")
    return create_app(settings, tidies_up=True)


def create_app(
    settings: Settings, *, now_ms: Callable[[], int] = wall_clock_ms, tidies_up: bool = False
) -> Litestar:
    """Make the ASGI app; what it holds open is opened and closed by its lifespan.

    With `tidies_up` what is there at the start is hidden from the garbage collector for good.
    """
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            app.state[STATE_KEY] = _open_services(settings, metrics, now_ms, stack)
            if tidies_up:
                gc.collect()
                gc.freeze()
                gc.set_threshold(*COLLECT_AFTER)
            yield

    app = MeasuredApp(
        metrics=metrics,
        route_handlers=[
            *ROUTES,
            console_router(),
            *(STOREFRONT if settings.storefront else []),
        ],
        lifespan=[lifespan],
        guards=[guard],
        dto=JsonBody,
        return_dto=None,
        request_max_body_size=settings.body_limit_bytes,
        cors_config=cors_config(settings.cors_origins),
        before_send=[vary_by_origin] if settings.cors_origins else [],
        openapi_config=describe_api(),
        exception_handlers={
            EndcapError: answer_endcap_error,
            HTTPException: answer_http_exception,
            msgspec.MsgspecError: answer_bad_value,
            RecursionError: answer_too_deep,
            Exception: answer_unexpected,
        },
        plugins=[ExactStructs()],
        logging_config=None,
    )
    describe_scopes(app)
    return app


def _open_services(
    settings: Settings, metrics: Metrics, now_ms: Callable[[], int], stack: AsyncExitStack
) -> Services:
    _follow_supervisor(stack)
    pseudonymiser = load_pseudonymiser(settings.home)
    keep_running(stack, metrics.flush_regularly)

    store = ControlStore(settings.home / "control.sqlite")
    stack.callback(store.close)
    # Its key is written before the keys are read.
    storefront = (
        open_storefront(settings, pseudonymiser, store, now_ms()) if settings.storefront else None
    )
    reader = ControlReader(store.path)
    stack.callback(reader.close)
    segment_files = SegmentFiles(settings.home)
    current = CurrentConfiguration(reader, metrics.configuration_revision.set, segment_files)
    keep_running(stack, partial(current.watch, settings.control_poll_ms / 1000))

    artifacts = ArtifactStore(settings.home)
    live_model = LiveModel(artifacts, metrics.show_model)
    live_model.refresh()
    keep_running(stack, partial(live_model.watch, settings.model_poll_ms / 1000))

    intake = open_intake(
        settings.home,
        now_ms=now_ms,
        count=metrics.count_intake,
        max_events=settings.event_queue_size,
        max_exposures=settings.exposure_queue_size,
        poll_s=settings.event_poll_ms / 1000,
        count_unread=metrics.identities_unread.inc,
    )
    intake.start()
    stack.push_async_callback(intake.close, settings.drain_s)

    keeper = RollupKeeper(settings.home / EVENTS_FILE)
    keeper.start()
    stack.callback(keeper.close)

    changes = ChangeHub(current.get, now_ms, settings.change_clients, metrics.change_clients.set)
    loop = asyncio.get_running_loop()
    console = Console(
        sessions=Sessions(pseudonymiser.derive("console sessions"), settings.console_session_hours),
        attempts=SignInAttempts(),
        plotter=Plotter(),
        traffic=TrafficWindow(now_ms()),
        key_names=KeyNames(store, lambda: current.get().revision),
        changes=ChangeHub(
            current.get,
            now_ms,
            settings.change_clients,
            revision_in=lambda configuration: configuration.revision,
        ),
    )
    stack.callback(console.plotter.close)
    for hub in (changes, console.changes):
        current.subscribe(lambda hub=hub: _call_in(loop, hub.wake))  # type: ignore[misc]  # mypy infers no default
        keep_running(stack, hub.watch_clock)
        stack.enter_context(on_stop_signal(lambda hub=hub: _call_in(loop, hub.close)))  # type: ignore[misc]  # as above

    control = ControlPlane(store, current, pseudonymiser, now_ms)
    holder = f"{os.getpid()}-{token_hex(4)}"
    ramps = RampRunner(
        store,
        control,
        settings.home / EVENTS_FILE,
        holder=holder,
        now_ms=now_ms,
        pages=metrics.pages,
    )
    keep_running(stack, ramps.watch)
    lifts = LiftKeeper(store, control, settings.home / EVENTS_FILE, holder=holder, now_ms=now_ms)
    keep_running(stack, lifts.watch)

    engine = Engine(
        configuration=current.get,
        snapshot=live_model.get,
        recent=intake.recents,
        people=intake.people,
        views=intake.banner_views,
        rates=_learn_banners(settings, store, current, holder=holder, now_ms=now_ms, stack=stack),
        pseudonymiser=pseudonymiser,
        deadline_ms=settings.deadline_ms,
        clock=Clock(now_ms=now_ms),
        ready=stack.enter_context(Readying(settings.home, artifacts)).open,
    )
    snapshot = live_model.get()
    if snapshot is not None:
        engine.prepare(snapshot)
    live_model.before_swap = engine.prepare
    current.before_swap = engine.prepare_configuration

    events = settings.home / EVENTS_FILE
    insights = InsightsReader(events, artifacts, live_model.get, now_ms)
    memory = WorkerMemory(intake, engine, live_model)
    erasures = ErasureReader(settings.home / EVENTS_FILE)
    stack.callback(erasures.close)
    keep_running(stack, partial(memory.follow, erasures))
    retention = RetentionRunner(settings.home / EVENTS_FILE, settings.kept_days, now_ms=now_ms)
    stack.callback(retention.close)
    keep_running(stack, retention.watch)

    return Services(
        settings=settings,
        now_ms=now_ms,
        metrics=metrics,
        pseudonymiser=pseudonymiser,
        control_store=store,
        current=current,
        control=control,
        artifacts=artifacts,
        live_model=live_model,
        intake=intake,
        engine=engine,
        changes=changes,
        segment_files=segment_files,
        uploads=asyncio.Lock(),
        tickets=Tickets(pseudonymiser.derive("change stream tickets")),
        insights=insights,
        catalogue=CatalogueReader(live_model.get, current.get, insights.shown),
        shoppers=ShopperReader(events, engine, now_ms),
        console=console,
        storefront=storefront,
    )


def _learn_banners(
    settings: Settings,
    store: ControlStore,
    current: CurrentConfiguration,
    *,
    holder: str,
    now_ms: Callable[[], int],
    stack: AsyncExitStack,
) -> RateBook:
    """Begin to learn click rates of banners, and to follow what is learned."""
    rates = RateBook(settings.banner_period_s * 1000)
    learner = BannerLearner(
        store,
        settings.home / EVENTS_FILE,
        current.get,
        rates.put,
        holder=holder,
        now_ms=now_ms,
        period_ms=rates.period_ms,
        half_life_days=settings.banner_half_life_days,
    )
    learner.read()
    keep_running(stack, learner.watch)
    return rates


def _call_in(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> None:
    """Call something in the event loop, from whatever thread, unless the loop has closed."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(act)


def _follow_supervisor(stack: AsyncExitStack) -> None:
    """Stop this worker when its supervisor is gone, so that no orphan keeps the port."""
    expected = os.environ.get(SUPERVISOR_VARIABLE)
    if expected is None or os.getpid() == int(expected):
        return

    async def watch() -> None:
        while os.getppid() == int(expected):
            await asyncio.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    keep_running(stack, watch)
