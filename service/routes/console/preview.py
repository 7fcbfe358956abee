"""Preview: the page as somebody would see it, and why something is not there."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

from litestar import Controller, get

from models.errors import EndcapError
from service.console.form import words
from service.console.next_steps import for_the_console
from service.routes.console.form_errors import GENERAL, errors_of
from service.routes.console.frame import ConsoleRequest, Page, page
from service.routes.console.gate import section
from service.routes.console.looking import Look
from service.routes.console.showing import choices, find_items, namer, show_slates
from service.routes.console.slate_view import Card, SlateView
from service.services import Services, services_of

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
            look = dataclasses.replace(
                look, why=await asyncio.to_thread(_named, services, look.why)
            )
            try:
                slates = await show_slates(services, look, asked)
            except EndcapError as error:
                errors = errors_of(error)
                errors.setdefault(GENERAL, for_the_console(error.message))
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


def _named(services: Services, why: str) -> str:
    """Put the id of the first item that is called so in the place of a word that is no id."""
    name_of = namer(services)
    named = []
    for one in words(why):
        is_id = name_of(one) != Card(id=one, title=one)
        found = [] if is_id else find_items(services, one)
        named.append(found[0].id if found else one)
    return ", ".join(named)
