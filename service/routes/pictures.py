"""Pictures of banners: uploaded once, served to everyone under an address that never changes."""

from __future__ import annotations

import asyncio
from typing import Annotated, ClassVar

import msgspec
from litestar import Controller, Response, get, post
from msgspec import Meta

from service.middleware.access import OPEN, needs
from service.pictures.inspection import only_picture
from service.routes.documents import AnyRequest, PathId, problems
from service.routes.etags import has_already
from service.services import Services, services_of
from service.stores.pictures import Picture, PictureSizeError

PATH = "/v1/pictures"
_YEAR_S = 31_536_000
_HEADERS = {
    "Cache-Control": f"public, max-age={_YEAR_S}, immutable",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Access-Control-Allow-Origin": "*",
}


class StoredPicture(msgspec.Struct, frozen=True, kw_only=True):
    """An uploaded picture."""

    hash: str
    url: Annotated[
        str,
        Meta(description="the path on this service, for `image_url` of a banner"),
    ]
    media_type: str
    n_bytes: int


def store_picture(services: Services, content: bytes) -> Picture:
    """Keep a picture under the limit of the settings, and nothing that follows it."""
    limit = services.settings.picture_limit_bytes
    picture = only_picture(content) if len(content) <= limit else content
    return services.pictures.write(picture, max_bytes=limit)


def picture_path(picture: Picture) -> str:
    """Return where a picture is served."""
    return f"{PATH}/{picture.hash}"


class PictureController(Controller):
    """Pictures of banners."""

    path = PATH
    tags: ClassVar[list[str]] = ["banners"]  # type: ignore[misc]  # Litestar's own is of the instance

    @post(
        opt=needs("merchandiser"),
        operation_id="postPicture",
        summary="Upload a picture",
        status_code=201,
        request_max_body_size=None,
        responses=problems(413),
    )
    async def upload(self, request: AnyRequest) -> StoredPicture:
        """Keep the body, a PNG, JPEG, WebP, GIF or AVIF as its own bytes say; answer its address.

        The same picture sent twice is kept once. Refused are SVG, for it may run scripts, what is
        cut off or damaged, and more than 16,384 pixels a side or 40 million in all. What follows
        the end of the picture is not kept.
        """
        services = services_of(request)
        limit = services.settings.picture_limit_bytes
        content = bytearray()
        async for piece in request.stream():
            content += piece
            if len(content) > limit:
                raise PictureSizeError(
                    f"the picture has more than {limit} bytes (ENDCAP_PICTURE_LIMIT_BYTES); "
                    "save it smaller"
                )
        picture = await asyncio.to_thread(store_picture, services, bytes(content))
        return StoredPicture(
            hash=picture.hash,
            url=picture_path(picture),
            media_type=picture.media_type,
            n_bytes=len(picture.content),
        )

    @get(
        "/{picture_hash:str}",
        opt=OPEN,
        security=[{}],
        operation_id="getPicture",
        summary="Show a picture",
        media_type="image/*",
        sync_to_thread=True,
        responses=problems(404),
    )
    def read(self, request: AnyRequest, picture_hash: PathId) -> Response[bytes]:
        """Give a picture to any page; a browser asks for it once."""
        headers = _HEADERS | {"ETag": _tag(picture_hash)}
        if has_already(request.headers.get("if-none-match"), headers["ETag"]):
            return Response(b"", status_code=304, headers=headers)
        picture = services_of(request).pictures.read(picture_hash)
        return Response(picture.content, media_type=picture.media_type, headers=headers)


def _tag(picture_hash: str) -> str:
    return f'"{picture_hash}"'
