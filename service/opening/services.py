"""Puts the subsystems of a process together, in the order in which they need each other."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from secrets import token_hex

from service.catalogue.reader import CatalogueReader
from service.control.tickets import Tickets
from service.home_key import load_home_key
from service.insights.reader import InsightsReader
from service.opening.console import open_changes, open_console
from service.opening.control import open_control
from service.opening.events import open_events
from service.opening.ground import Ground
from service.opening.model import open_model
from service.opening.serving import open_engine
from service.opening.upkeep import (
    advance_rollouts,
    follow_supervisor,
    forget_people,
    give_memory_back,
    give_up_silent_databases,
)
from service.services import Services
from service.settings import Settings
from service.shopper.reader import ShopperReader
from service.telemetry.metrics import Metrics


def open_services(
    settings: Settings, metrics: Metrics, now_ms: Callable[[], int], stack: AsyncExitStack
) -> Services:
    """Open what the routes work with; the stack closes it. Call it in the event loop."""
    ground = Ground(
        settings=settings,
        metrics=metrics,
        now_ms=now_ms,
        pseudonymiser=load_home_key(settings.home, settings.event_log),
        holder=f"{os.getpid()}-{token_hex(4)}",
        stack=stack,
    )
    all_is_open = give_up_silent_databases(ground)
    follow_supervisor(ground)
    give_memory_back(ground)
    ground.keep_running(metrics.flush_regularly)
    control = open_control(ground)
    model = open_model(ground)
    intake = open_events(ground)
    changes = open_changes(ground, control)
    console = open_console(ground, control)
    advance_rollouts(ground, control)
    engine = open_engine(ground, control, model, intake)
    forget_people(ground, control, intake, engine, model)
    all_is_open()
    insights = InsightsReader(ground.events, model.artifacts, model.live.get, now_ms)
    return Services(
        settings=settings,
        now_ms=now_ms,
        metrics=metrics,
        pseudonymiser=ground.pseudonymiser,
        control_store=control.store,
        current=control.current,
        control=control.plane,
        artifacts=model.artifacts,
        live_model=model.live,
        intake=intake,
        engine=engine,
        changes=changes,
        segment_files=control.segment_files,
        pictures=control.pictures,
        uploads=asyncio.Lock(),
        tickets=Tickets(ground.pseudonymiser.derive("change stream tickets")),
        insights=insights,
        catalogue=CatalogueReader(model.live.get, control.current.get, insights.shown),
        shoppers=ShopperReader(ground.events, engine, now_ms),
        console=console,
        storefront=control.storefront,
    )
