"""The console's own style, script and icon."""

from __future__ import annotations

from litestar import Response, get
from litestar.params import FromPath

from models.errors import NotFoundError
from models.ids import list_known
from service.console.pages import ASSET_TYPES, ASSETS
from service.routes.console.gate import ANYONE

_YEAR_S = 31_536_000


@get("/assets/{name:str}", opt=ANYONE, sync_to_thread=False)
def read_asset(name: FromPath[str]) -> Response[bytes]:
    """Give a file that the pages load; its address changes when it does."""
    if name not in ASSETS:
        raise NotFoundError(f"there is no asset {name!r}; {list_known(ASSETS)}")
    return Response(
        ASSETS[name],
        media_type=ASSET_TYPES[name],
        headers={"Cache-Control": f"public, max-age={_YEAR_S}, immutable"},
    )
