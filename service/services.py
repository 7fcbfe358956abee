"""What the routes work with: built once by `service.opening`, kept in the app's state."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from litestar.connection import ASGIConnection

from models.artifact import ArtifactStore
from models.pseudonym import Pseudonymiser
from service.catalogue.reader import CatalogueReader
from service.console.console import Console
from service.control.changes import ChangeHub
from service.control.current import CurrentConfiguration
from service.control.plane import ControlPlane
from service.control.tickets import Tickets
from service.insights.reader import InsightsReader
from service.intake.opening import Intake
from service.live_model import LiveModel
from service.serve.engine import Engine
from service.settings import Settings
from service.shopper.reader import ShopperReader
from service.storefront.shop import Storefront
from service.stores.control import ControlStore
from service.stores.pictures import PictureFiles
from service.stores.segment_files import SegmentFiles
from service.telemetry.metrics import Metrics

STATE_KEY = "services"


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """One of each, for one process."""

    settings: Settings
    now_ms: Callable[[], int]
    metrics: Metrics
    pseudonymiser: Pseudonymiser
    control_store: ControlStore
    current: CurrentConfiguration
    control: ControlPlane
    artifacts: ArtifactStore
    live_model: LiveModel
    intake: Intake
    engine: Engine
    changes: ChangeHub
    segment_files: SegmentFiles
    pictures: PictureFiles
    uploads: asyncio.Lock
    """Held while a list is read, which takes memory."""
    tickets: Tickets
    insights: InsightsReader
    catalogue: CatalogueReader
    shoppers: ShopperReader
    console: Console
    storefront: Storefront | None = None
    """The demonstration shop, where the settings want one."""


def services_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Services:
    """Return the services of the app that a request came to."""
    services = connection.app.state[STATE_KEY]
    assert isinstance(services, Services)
    return services
