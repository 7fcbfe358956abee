"""Placements: the slots of the shop's pages, how they are filled, and your own list in each."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath

from models.errors import EndcapError
from service.console.form import Form
from service.console.placement_form import (
    RECIPES,
    Fields,
    blank_placement,
    read_placement,
    show_placement,
    typed_placement,
)
from service.control.documents import Placement
from service.control.drafts import Drafts
from service.control.precondition import RevisionError
from service.rollouts.definition import CONTROL
from service.routes.console.deleted import deleted_of
from service.routes.console.document_pages import DocumentPages
from service.routes.console.editing import (
    Section,
    changed_by,
    history_of,
    new_id,
    save_document,
    seen_revision,
    show_conflict,
)
from service.routes.console.form_errors import REFUSALS, errors_of
from service.routes.console.frame import ConsoleRequest, Page, go, page, render, wants_part
from service.routes.console.gate import FormData, section
from service.routes.console.looking import AS_DEALT, Look
from service.routes.console.showing import choices, find_items, namer, show_change, unknown_ids
from service.services import Services, services_of

PLACEMENTS = Section("placement", "Placements", "/console/placements")
DRAFT_ID = "(this placement)"


class PlacementPages(DocumentPages):
    """Placements, one by one and all together."""

    path = "/placements"
    opt = section("placements")
    documents = PLACEMENTS

    @get(sync_to_thread=True)
    def show_list(self, request: ConsoleRequest) -> Page:
        """List all placements."""
        services = services_of(request)
        configuration = services.current.get()
        rows = [
            {
                "placement": placement,
                "path": PLACEMENTS.path_of(placement.id),
                "rollout": configuration.rollout_of(placement),
                "rules": [
                    rule
                    for rule in configuration.rules.values()
                    if rule.enabled
                    and rule.is_about_banners == (placement.kind == "banners")
                    and (not rule.placements or placement.id in rule.placements)
                ],
            }
            for _, placement in sorted(configuration.placements.items())
        ]
        deleted = deleted_of(request, PLACEMENTS, configuration.placements)
        return page(request, "placements/list.html", title="Placements", rows=rows, deleted=deleted)

    @get("/new")
    async def show_new(self, request: ConsoleRequest) -> Page:
        """Show an empty form."""
        return await _draw(request, blank_placement())

    @get("/{placement_id:str}")
    async def show_one(self, request: ConsoleRequest, placement_id: FromPath[str]) -> Page:
        """Show a placement in the form, and what stands there."""
        find = services_of(request).control.find
        found = await asyncio.to_thread(find, "placement", placement_id)
        assert isinstance(found, Placement)
        return await _draw(request, show_placement(found), stored=found)

    @post("/preview", status_code=200)
    async def preview(self, request: ConsoleRequest, form: FormData) -> Response[Any]:
        """Show what would stand there; without script, with the form around it."""
        fields = typed_placement(form)
        if form.text("add"):
            fields["static_ids"] = "\n".join([*form.lines("static_ids"), form.text("add")])
            form = Form({**form.fields, "static_ids": (fields["static_ids"],)}, form.files)
        if not wants_part(request):
            return await _draw(request, fields, form=form)
        shown = await _look(request, form)
        body = await asyncio.to_thread(render, request, "placements/beside.html", **shown)
        return Response(body, media_type="text/html")

    @post("/save", sync_to_thread=True)
    def save(self, request: ConsoleRequest, form: FormData) -> Response[Any]:
        """Save the placement, on the state that the form was opened with."""
        placements = services_of(request).current.get().placements
        is_new = not form.text("revision")
        stored = placements.get(form.text("id"))
        try:
            placement_id = (
                new_id(form, set(placements), fallback="placement") if is_new else form.text("id")
            )
            placement = read_placement(form)
            try:
                save_document(request, PLACEMENTS, placement_id, placement, form)
            except RevisionError as error:
                return show_conflict(request, PLACEMENTS, error, placement, form)
        except REFUSALS as error:
            return page(
                request,
                "placements/edit.html",
                status=400,
                errors=errors_of(error, form),
                **_context(request, typed_placement(form), None if is_new else stored, form),
                **_nothing(request, form, "Mend the form to see what would stand there."),
            )
        return go(
            request, PLACEMENTS.path_of(placement_id), "Saved. It is in effect within a second."
        )


async def _draw(
    request: ConsoleRequest,
    fields: Fields,
    *,
    stored: Placement | None = None,
    form: Form | None = None,
) -> Page:
    services = services_of(request)
    if form is not None:
        placements = services.current.get().placements
        stored = placements.get(form.text("id")) if form.text("revision") else None
        shown = await _look(request, form)
    elif stored is not None:
        shown = await _show(services, stored, stored.id, Look(), "")
    else:
        shown = _nothing(request, Form({}, {}), "What would stand there is shown as you type.")
    context = await asyncio.to_thread(_context, request, fields, stored, form)
    return await asyncio.to_thread(page, request, "placements/edit.html", **context, **shown)


def _context(
    request: ConsoleRequest, fields: Fields, stored: Placement | None, form: Form | None
) -> dict[str, Any]:
    """Gather what the form shows, but for what stands beside it."""
    configuration = services_of(request).current.get()
    history = [] if stored is None else history_of(request, PLACEMENTS, stored.id)
    rollout = None if stored is None else configuration.rollout_of(stored)
    return {
        "title": "New placement" if stored is None else stored.name or stored.id,
        "fields": fields | ({} if stored is None else {"id": stored.id}),
        "is_new": stored is None,
        "revision": seen_revision(stored, form),
        "is_on": stored is None or stored.enabled,
        "history": history,
        "changed_by": changed_by(history, request),
        "recipes": RECIPES,
        "rollout": rollout,
        "rollouts": sorted(configuration.rollouts),
        "rules": []
        if stored is None
        else [
            rule
            for rule in configuration.rules.values()
            if rule.is_about_banners == (stored.kind == "banners")
            and (not rule.placements or stored.id in rule.placements)
        ],
        "path": "" if stored is None else PLACEMENTS.path_of(stored.id),
    }


async def _look(request: ConsoleRequest, form: Form) -> dict[str, Any]:
    """Try the placement that was typed."""
    try:
        placement = read_placement(form)
        look = Look.read(form.text)
        placement_id = form.text("id") or DRAFT_ID
        return await _show(services_of(request), placement, placement_id, look, form.text("find"))
    except (EndcapError, msgspec.ValidationError) as error:
        said = next(iter(errors_of(error, form).values()))
        return await asyncio.to_thread(_nothing, request, form, said)


async def _show(
    services: Services, placement: Placement, placement_id: str, look: Look, find: str
) -> dict[str, Any]:
    draft = msgspec.structs.replace(placement, id=placement_id, revision=0, enabled=True)
    drafts = Drafts(placements=(draft,))
    rollout = services.current.get().rollout_of(draft)
    looks = [look]
    if rollout is not None and look.variant == AS_DEALT and not look.user:
        # Nobody in particular is dealt nothing: show what either side of the rollout sees.
        first = rollout.definition.variants[0].key
        looks = [dataclasses.replace(look, variant=variant) for variant in (first, CONTROL)]
    pairs = [
        pair for each in looks for pair in await show_change(services, each, [placement_id], drafts)
    ]
    name_of = namer(services)
    return {
        "look": look,
        "choices": choices(services),
        "pairs": pairs,
        "said": "",
        "find": find,
        "found": await asyncio.to_thread(find_items, services, find),
        "named": [name_of(one) for one in placement.static_ids],
        "unknown": _unknown(services, placement.kind, placement.static_ids),
    }


def _nothing(request: ConsoleRequest, form: Form, said: str) -> dict[str, Any]:
    services = services_of(request)
    name_of = namer(services)
    return {
        "look": Look.read(form.text),
        "choices": choices(services),
        "pairs": None,
        "said": said,
        "find": form.text("find"),
        "found": find_items(services, form.text("find")),
        "named": [name_of(one) for one in form.lines("static_ids")],
        "unknown": _unknown(services, form.text("kind"), form.lines("static_ids")),
    }


def _unknown(services: Services, kind: str, ids: Sequence[str]) -> list[str]:
    if kind == "banners":
        return unknown_ids(services, banner_ids=ids)
    return unknown_ids(services, item_ids=ids)
