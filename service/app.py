"""The composition root: makes the app from its routes and from what `service.opening` opens."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

import msgspec
from litestar import Litestar
from litestar.exceptions import HTTPException
from litestar.types import ControllerRouterHandler
from threadpoolctl import threadpool_limits

from models.errors import EndcapError
from service.cpu.garbage import settle
from service.cpu.own_core import OwnCore
from service.cpu.short_turns import take_short_turns
from service.measured import MeasuredApp
from service.middleware.access import guard
from service.middleware.cors import cors_config, vary_by_origin
from service.middleware.encoded_slashes import put_slashes_back_first
from service.middleware.json_body import JsonBody
from service.middleware.openapi import ExactStructs, describe_api, describe_scopes
from service.middleware.problems import (
    answer_bad_value,
    answer_endcap_error,
    answer_too_deep,
    answer_unexpected,
)
from service.opening.services import open_services
from service.processes.background import keep_running
from service.routes import health
from service.routes.banners import BannerController
from service.routes.browser import read_script, read_types
from service.routes.catalogue import CatalogueController
from service.routes.changes import stream_changes
from service.routes.clients import CLIENT_ROUTES
from service.routes.console import console_router
from service.routes.console.gate import answer_unrouted
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
from service.routes.reports import read_plan, read_report
from service.routes.rollouts import RolloutController
from service.routes.rules import RuleController
from service.routes.segments import SegmentController
from service.routes.serve import serve_page
from service.routes.shoppers import ShopperController
from service.routes.storefront import STOREFRONT_PAGES
from service.routes.storefront_files import STOREFRONT_FILES
from service.services import STATE_KEY
from service.settings import Settings, settings_from_environment
from service.telemetry.logs import configure_logs
from service.telemetry.metrics import Metrics

SWITCH_INTERVAL_S = 0.0005
"""How long pages keep the interpreter lock from the threads that read and write the store; at the
default of 5 ms one read of the store, which takes the lock a few times, misses the deadline."""

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
    read_plan,
    read_notice,
    export_user,
    erase_user,
    preview_change,
    *HISTORY_ROUTES,
    health.live,
    health.ready,
    health.metrics,
]
STOREFRONT: list[ControllerRouterHandler] = [*STOREFRONT_PAGES, *STOREFRONT_FILES]
_START_KEY = "endcap.start"


def wall_clock_ms() -> int:
    """Read the system's clock as epoch ms."""
    return time.time_ns() // 1_000_000


def app_from_environment() -> Litestar:
    """Make the app of a worker process; `service.run` has put the settings into the environment."""
    settings = settings_from_environment()
    configure_logs(settings.log_level)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    # The event loop runs in this thread.
    take_short_turns()
    # A score is a fraction of a millisecond of linear algebra: sharing it between the cores, which
    # the other workers use too, costs ten times that.
    threadpool_limits(limits=1, user_api="blas")
    return create_app(settings, tidies_up=True)


def create_app(
    settings: Settings, *, now_ms: Callable[[], int] = wall_clock_ms, tidies_up: bool = False
) -> MeasuredApp:
    """Make the ASGI app; what it holds open is opened and closed by its lifespan.

    With `tidies_up` what is there at the start is hidden from the garbage collector for good.
    """
    app = _prepared.pop(shape_of(settings), None) or build_app(settings)
    set_up(app, settings, now_ms=now_ms, tidies_up=tidies_up)
    return app


def prepare_app() -> None:
    """Build the app that the environment asks for, before the workers who use it are forked.

    Taking some 200 handlers apart is a quarter of a second, which no worker has to wait for then.
    """
    settings = settings_from_environment()
    _prepared[shape_of(settings)] = build_app(settings)


class Shape(NamedTuple):
    """The settings that an app is built by; the others are read when it starts."""

    storefront: bool
    body_limit_bytes: int
    cors_origins: tuple[str, ...]


_prepared: dict[Shape, MeasuredApp] = {}


def shape_of(settings: Settings) -> Shape:
    """Pick them out."""
    return Shape(settings.storefront, settings.body_limit_bytes, settings.cors_origins)


def build_app(settings: Settings) -> MeasuredApp:
    """Build an app of a shape, which knows its routes and nothing else yet."""
    app = MeasuredApp(
        route_handlers=[
            *ROUTES,
            console_router(),
            *(STOREFRONT if settings.storefront else []),
        ],
        lifespan=[_open],
        guards=[put_slashes_back_first, guard],
        dto=JsonBody,
        return_dto=None,
        request_max_body_size=settings.body_limit_bytes,
        cors_config=cors_config(settings.cors_origins),
        before_send=[vary_by_origin] if settings.cors_origins else [],
        openapi_config=describe_api(),
        exception_handlers={
            EndcapError: answer_endcap_error,
            HTTPException: answer_unrouted,
            msgspec.MsgspecError: answer_bad_value,
            RecursionError: answer_too_deep,
            Exception: answer_unexpected,
        },
        plugins=[ExactStructs()],
        logging_config=None,
    )
    describe_scopes(app)
    return app


class _Start(NamedTuple):
    """What an app is started with."""

    settings: Settings
    metrics: Metrics
    now_ms: Callable[[], int]
    tidies_up: bool


def set_up(
    app: MeasuredApp,
    settings: Settings,
    *,
    now_ms: Callable[[], int] = wall_clock_ms,
    tidies_up: bool = False,
) -> None:
    """Say what an app of the settings' shape starts with; one that has stopped may start again."""
    metrics = Metrics()
    app.measure_with(metrics)
    app.state[_START_KEY] = _Start(settings, metrics, now_ms, tidies_up)


@asynccontextmanager
async def _open(app: Litestar) -> AsyncIterator[None]:
    settings, metrics, now_ms, tidies_up = app.state[_START_KEY]
    async with AsyncExitStack() as stack:
        if tidies_up:
            keep_running(stack, OwnCore(settings.workers).watch)
        app.state[STATE_KEY] = open_services(settings, metrics, now_ms, stack)
        if tidies_up:
            settle()
        yield
