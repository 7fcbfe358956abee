"""Preview: the page as somebody would see it, and why something is not there."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import Controller, get

from models.errors import EndcapError
from service.routes.console.form_errors import GENERAL, errors_of
from service.routes.console.frame import ConsoleRequest, Page, page
from service.routes.console.gate import section
from service.routes.console.looking import Look
from service.routes.console.showing import choices, show_slates
from service.routes.console.slate_view import SlateView
from service.services import services_of

MAX_PLACEMENTS = 10


class PreviewPages(Controller):
    """One page with a form; its address says all, so it can be sent to a colleague."""

    path = "/preview"
    opt = section("preview")

    @get()
    async def show(self, request: ConsoleRequest) -> Page:
        """Show the placements that were asked for, else those that are switched on."""
        services = services_of(request)
        query = request.query_params
        configuration = services.current.get()
        look = Look.read(lambda name: str(query.get(name, "")))
        asked = [one for one in query.getall("placement", []) if one in configuration.placements]
        if not asked:
            on = [one for one in configuration.placements.values() if one.enabled]
            on.sort(key=lambda one: (one.kind != "banners", one.id))
            asked = [one.id for one in on][:MAX_PLACEMENTS]
        slates: list[SlateView] = []
        errors: dict[str, str] = {}
        if asked:
            try:
                slates = await show_slates(services, look, asked)
            except EndcapError as error:
                errors = errors_of(error)
                errors.setdefault(GENERAL, error.message)
        context: dict[str, Any] = {
            "look": look,
            "choices": choices(services),
            "slates": slates,
            "asked": asked,
            "errors": errors,
        }
        return await asyncio.to_thread(
            page, request, "preview/show.html", title="Preview", **context
        )
