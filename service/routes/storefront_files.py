"""What the pages of the demonstration shop load: pictures, style sheets, scripts, names, news."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, HeaderParameter, QueryParameter
from litestar.response import Stream

from service.middleware.access import OPEN
from service.routes.changes import HEADERS
from service.routes.documents import AnyRequest
from service.routes.etags import has_already
from service.routes.storefront import storefront_of
from service.services import services_of
from service.storefront.shop import ASSETS, tag_of

PICTURE_AGE_S = 86_400
FOREVER = "public, max-age=31536000, immutable"
MAX_NAMES = 100


@get("/demo/assets/{name:str}", opt=OPEN, include_in_schema=False, sync_to_thread=False)
def read_asset(request: AnyRequest, name: FromPath[str]) -> Response[str]:
    """Give a style sheet or script; its address changes with its content."""
    if name not in ASSETS:
        raise NotFoundException
    headers = {"Cache-Control": FOREVER, "X-Content-Type-Options": "nosniff"}
    return Response(storefront_of(request).assets[name], media_type=ASSETS[name], headers=headers)


@get("/demo/pictures/{name:str}", opt=OPEN, include_in_schema=False, sync_to_thread=False)
def read_picture(request: AnyRequest, name: FromPath[str]) -> Response[str]:
    """Draw an item."""
    services, storefront = services_of(request), storefront_of(request)
    catalogue = storefront.catalogue(services.live_model.get())
    product = catalogue and catalogue.product(name.removesuffix(".svg"), services.current.get())
    if not product:
        raise NotFoundException
    return _drawing(request, storefront.picture(product.look))


@get("/demo/banners/{name:str}", opt=OPEN, include_in_schema=False, sync_to_thread=False)
def read_banner(request: AnyRequest, name: FromPath[str]) -> Response[str]:
    """Draw a banner."""
    services, storefront = services_of(request), storefront_of(request)
    catalogue = storefront.catalogue(services.live_model.get())
    drawn = catalogue and storefront.banner_picture(
        name.removesuffix(".svg"), catalogue, services.current.get()
    )
    if not drawn:
        raise NotFoundException
    return _drawing(request, drawn)


@get("/demo/names", opt=OPEN, include_in_schema=False, sync_to_thread=False)
def read_names(
    request: AnyRequest, item_ids: Annotated[list[str] | None, QueryParameter(name="id")] = None
) -> Response[dict[str, str]]:
    """Name some items, for those who look behind the page."""
    services, storefront = services_of(request), storefront_of(request)
    catalogue = storefront.catalogue(services.live_model.get())
    asked = [] if catalogue is None else (item_ids or [])[:MAX_NAMES]
    configuration = services.current.get()
    found = [catalogue.product(one, configuration) for one in asked] if catalogue else []
    names = {one.id: one.title for one in found if one is not None}
    return Response(names, headers={"Cache-Control": "private, max-age=300"})


@get("/demo/changes", opt=OPEN, include_in_schema=False, media_type="text/event-stream")
async def stream_changes(
    request: AnyRequest,
    last_event_id: Annotated[str | None, HeaderParameter(name="Last-Event-ID")] = None,
) -> Stream:
    """Stream an event for each change of the control plane: an open page is then chosen again."""
    stream = services_of(request).console.changes.open_stream(last_event_id)
    return Stream(stream, media_type="text/event-stream", headers=HEADERS)


def _drawing(request: AnyRequest, drawn: str) -> Response[str]:
    tag = f'"{tag_of(drawn)}"'
    headers = {
        "Cache-Control": f"public, max-age={PICTURE_AGE_S}",
        "ETag": tag,
        "Content-Security-Policy": "default-src 'none'",
        "X-Content-Type-Options": "nosniff",
    }
    if has_already(request.headers.get("if-none-match"), tag):
        return Response("", status_code=304, headers=headers)
    return Response(drawn, media_type="image/svg+xml", headers=headers)


STOREFRONT_FILES = [read_asset, read_picture, read_banner, read_names, stream_changes]
