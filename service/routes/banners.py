"""Banners: pictures with a link, and what they advertise."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from litestar import Controller, Response, delete, get, patch, put
from litestar.params import JSONBody

from service.control.documents import Banner
from service.learning.performance import BannerPerformance, one_performance
from service.middleware.access import needs
from service.routes.documents import (
    AnyRequest,
    IfMatch,
    IfNoneMatch,
    Patch,
    PathId,
    check_path_id,
    created,
    delete_document,
    get_document,
    list_documents,
    patch_document,
    problems,
    put_document,
)
from service.services import services_of


class Banners(msgspec.Struct, frozen=True, kw_only=True):
    """All banners, by id."""

    banners: list[Banner]


class BannerController(Controller):
    """Banners: pictures with a link, and what they advertise."""

    path = "/v1/banners"
    tags: ClassVar[list[str]] = ["banners"]  # type: ignore[misc]  # Litestar's own is of the instance
    opt = needs("merchandiser")

    @get(
        operation_id="listBanners",
        summary="List banners",
        responses=problems(),
        sync_to_thread=True,
    )
    def list_all(self, request: AnyRequest) -> Banners:
        """List all banners, by id."""
        return Banners(banners=list_documents(request, "banner", Banner))

    @get(
        "/{banner_id:str}",
        operation_id="getBanner",
        summary="Read a banner",
        responses=problems(404),
        sync_to_thread=True,
    )
    def read(self, request: AnyRequest, banner_id: PathId) -> Response[Banner]:
        """Read one as it is stored; the ETag is its revision."""
        return get_document(request, "banner", banner_id, Banner)

    @get(
        "/{banner_id:str}/performance",
        operation_id="getBannerPerformance",
        summary="Read how a banner does",
        responses=problems(404, 503),
        sync_to_thread=True,
    )
    def read_performance(self, request: AnyRequest, banner_id: PathId) -> BannerPerformance:
        """Count how often it was seen and clicked, by placement, segment and day.

        `learned` is what ranking goes by in this hour. A deleted banner still has its counts.
        """
        services = services_of(request)
        checked = check_path_id(banner_id, "banner id")
        return one_performance(
            services.settings.event_log,
            checked,
            is_known=checked in services.current.get().banners,
            now_ms=services.now_ms(),
            period_ms=services.engine.rates.period_ms,
        )

    @put(
        "/{banner_id:str}",
        operation_id="putBanner",
        summary="Create or replace a banner",
        responses=created(Banner) | problems(412, 413),
        sync_to_thread=True,
    )
    def replace(
        self,
        request: AnyRequest,
        banner_id: PathId,
        data: JSONBody[Banner],
        if_match: IfMatch = None,
        if_none_match: IfNoneMatch = None,
    ) -> Response[Banner]:
        """Create (201) or replace (200). What the body leaves out takes its default."""
        return put_document(
            request, "banner", banner_id, data, if_match=if_match, if_none_match=if_none_match
        )

    @patch(
        "/{banner_id:str}",
        operation_id="patchBanner",
        summary="Change a banner",
        responses=problems(404, 412, 413),
        sync_to_thread=True,
    )
    def change(
        self,
        request: AnyRequest,
        banner_id: PathId,
        data: JSONBody[Patch],
        if_match: IfMatch = None,
    ) -> Response[Banner]:
        """Change some fields with a JSON Merge Patch (RFC 7396); an audience with `op` is whole.

        What the patch leaves out stays; null takes a field back to its default.
        """
        return patch_document(request, "banner", banner_id, data, Banner, if_match=if_match)

    @delete(
        "/{banner_id:str}",
        operation_id="deleteBanner",
        summary="Delete a banner",
        responses=problems(404, 412),
        sync_to_thread=True,
    )
    def remove(self, request: AnyRequest, banner_id: PathId, if_match: IfMatch = None) -> None:
        """Delete it; its history stays in the audit trail."""
        delete_document(request, "banner", banner_id, if_match=if_match)
