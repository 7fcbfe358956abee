"""The console: pages under /console. Each module is a section, listed in `CONSOLE_ROUTES`."""

from __future__ import annotations

import msgspec
from litestar import Router, get
from litestar.di import Provide
from litestar.exceptions import HTTPException, NotFoundException
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from models.errors import EndcapError
from service.middleware.access import OPEN
from service.routes.console.assets import read_asset
from service.routes.console.banners import BannerPages
from service.routes.console.catalogue import CataloguePages
from service.routes.console.frame import HOME
from service.routes.console.gate import guard_console, read_form, refuse_forgery, seal, show_refusal
from service.routes.console.holdout import HoldoutPages
from service.routes.console.insights import InsightPages
from service.routes.console.layers import LayerPages
from service.routes.console.live import stream_console_changes
from service.routes.console.models import ModelPages
from service.routes.console.overview import OverviewPages
from service.routes.console.placements import PlacementPages
from service.routes.console.preview import PreviewPages
from service.routes.console.rollout import RolloutPages
from service.routes.console.rollout_edit import RolloutEditPages
from service.routes.console.rollout_plan import RolloutPlanPages
from service.routes.console.rollouts import RolloutListPages
from service.routes.console.rules import RulePages
from service.routes.console.shoppers import ShopperPages
from service.routes.console.sign_in import read_session, show_sign_in, sign_in, sign_out

REFUSALS = (EndcapError, HTTPException, msgspec.MsgspecError, RecursionError, Exception)

CONSOLE_ROUTES: list[ControllerRouterHandler] = [
    OverviewPages,
    RolloutListPages,
    RolloutPages,
    RolloutEditPages,
    RolloutPlanPages,
    LayerPages,
    HoldoutPages,
    ShopperPages,
    CataloguePages,
    ModelPages,
    InsightPages,
    PlacementPages,
    RulePages,
    BannerPages,
    PreviewPages,
]
"""One controller a section."""


@get("/{path:path}", sync_to_thread=False)
def show_missing(path: FromPath[str]) -> None:
    """Refuse an address that no section has, as a page."""
    raise NotFoundException(path)


def console_router() -> Router:
    """Put the sections behind the one gate."""
    return Router(
        HOME,
        route_handlers=[
            *CONSOLE_ROUTES,
            show_sign_in,
            sign_in,
            read_session,
            sign_out,
            read_asset,
            stream_console_changes,
            show_missing,
        ],
        guards=[guard_console],
        before_request=refuse_forgery,
        after_request=seal,
        dependencies={"form": Provide(read_form)},
        # Those of the app are as exact, and would win over one for all.
        exception_handlers=dict.fromkeys(REFUSALS, show_refusal),
        opt=dict(OPEN),
        include_in_schema=False,
        dto=None,
        return_dto=None,
    )
