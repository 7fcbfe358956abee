"""Banners: their pictures, when and for whom they stand, and how they do."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath

from models.errors import EndcapError
from service.console.audience_words import audience_words
from service.console.banner_form import (
    Fields,
    blank_banner,
    read_banner,
    show_banner,
    typed_banner,
)
from service.console.form import Form, FormError
from service.console.schedule_form import ZONES, state_of
from service.console.tables import Table
from service.control.documents import Banner
from service.control.drafts import Drafts
from service.control.precondition import RevisionError
from service.learning.performance import BannerPerformance, read_performance
from service.rollouts.schedule import schedule_ms
from service.routes.console.banner_figures import clicks_by_day
from service.routes.console.deleted import deleted_of
from service.routes.console.document_pages import SwitchedPages
from service.routes.console.downloads import csv_file
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
from service.routes.console.looking import Look
from service.routes.console.showing import choices, find_items, namer, show_change
from service.routes.console.slate_view import Card
from service.routes.pictures import picture_path, store_picture
from service.services import Services, services_of
from service.stores.pictures import PictureError

BANNERS = Section("banner", "Banners", "/console/banners")
DRAFT_ID = "(this banner)"
NO_PICTURE = "/"
"""Stands for the picture of a banner that has none yet."""
MAX_LOOKED = 3
UPLOAD_LIMIT_BYTES = 20_000_000
"""Of a whole form; the picture in it has the limit of the settings."""


class BannerPages(SwitchedPages):
    """Banners, one by one and all together."""

    path = "/banners"
    opt = section("banners")
    documents = BANNERS

    @get(sync_to_thread=True)
    def show_list(self, request: ConsoleRequest) -> Page:
        """List all banners with their pictures and click rates."""
        services = services_of(request)
        banners = services.current.get().banners
        found, trouble = _performance(services, list(banners))
        rows: list[dict[str, Any]] = [
            {
                "banner": banner,
                "card": _card(banner),
                "path": BANNERS.path_of(banner.id),
                "state": _state(banner, services.now_ms()),
                "for_whom": audience_words(banner.audience),
                "performance": found.get(banner.id),
            }
            for banner in banners.values()
        ]
        order = {"live": 0, "scheduled": 1, "off": 2, "ended": 3}
        rows.sort(key=lambda row: (order[row["state"][0]], row["banner"].id))
        return page(
            request,
            "banners/list.html",
            title="Banners",
            rows=rows,
            trouble=trouble,
            deleted=deleted_of(request, BANNERS, banners),
        )

    @get("/new")
    async def show_new(self, request: ConsoleRequest) -> Page:
        """Show an empty form."""
        return await _draw(request, blank_banner())

    @get("/{banner_id:str}")
    async def show_one(self, request: ConsoleRequest, banner_id: FromPath[str]) -> Page:
        """Show a banner in the form, where it would stand, and how it does."""
        find = services_of(request).control.find
        found = await asyncio.to_thread(find, "banner", banner_id)
        assert isinstance(found, Banner)
        return await _draw(request, show_banner(found), stored=found)

    @get("/{banner_id:str}/days.csv", sync_to_thread=True)
    def download_days(self, request: ConsoleRequest, banner_id: FromPath[str]) -> Response[str]:
        """Give its days as a table."""
        found, _ = _performance(services_of(request), [banner_id])
        days = found[banner_id].days if banner_id in found else ()
        rows = [[one.day, one.assigned, one.clicks] for one in days]
        return csv_file(f"{banner_id}-days", Table(["day", "served", "clicks"], rows))

    @post("/preview", status_code=200, request_max_body_size=UPLOAD_LIMIT_BYTES)
    async def preview(self, request: ConsoleRequest, form: FormData) -> Response[Any]:
        """Show where it would stand; without script, with the form around it."""
        if form.text("add"):
            ids = "\n".join([*form.lines("item_ids"), form.text("add")])
            form = Form({**form.fields, "item_ids": (ids,)}, form.files)
        if not wants_part(request):
            form = await asyncio.to_thread(_with_picture, request, form)
            return await _draw(request, typed_banner(form), form=form)
        shown = await _look(request, form)
        body = await asyncio.to_thread(render, request, "banners/beside.html", **shown)
        return Response(body, media_type="text/html")

    @post("/save", sync_to_thread=True, request_max_body_size=UPLOAD_LIMIT_BYTES)
    def save(self, request: ConsoleRequest, form: FormData) -> Response[Any]:
        """Keep the picture that was chosen, and save the banner on the state it was opened with."""
        banners = services_of(request).current.get().banners
        is_new = not form.text("revision")
        stored = banners.get(form.text("id"))
        try:
            form = _with_picture(request, form)
            if not form.text("image_url"):
                raise FormError("image_url", "a banner needs a picture; upload or link one")
            banner_id = new_id(form, set(banners), fallback="banner") if is_new else form.text("id")
            banner = read_banner(form)
            try:
                save_document(request, BANNERS, banner_id, banner, form)
            except RevisionError as error:
                return show_conflict(request, BANNERS, error, banner, form)
        except REFUSALS as error:
            return page(
                request,
                "banners/edit.html",
                status=400,
                errors=errors_of(error, form),
                **_context(request, typed_banner(form), None if is_new else stored, form),
                **_nothing(request, form, "Mend the form to see where it would stand."),
            )
        return go(request, BANNERS.path_of(banner_id), "Saved. It is in effect within a second.")


def _with_picture(request: ConsoleRequest, form: Form) -> Form:
    """Keep an uploaded picture, and put its address where a linked one would be."""
    upload = form.file("picture")
    if upload is None or not upload.content:
        return form
    try:
        picture = store_picture(services_of(request), upload.content)
    except PictureError as error:
        raise FormError("picture", error.message) from error
    return Form({**form.fields, "image_url": (picture_path(picture),)}, {})


async def _draw(
    request: ConsoleRequest,
    fields: Fields,
    *,
    stored: Banner | None = None,
    form: Form | None = None,
) -> Page:
    services = services_of(request)
    if form is not None:
        banners = services.current.get().banners
        stored = banners.get(form.text("id")) if form.text("revision") else None
        shown = await _look(request, form)
    elif stored is not None:
        starts_ms, _ = schedule_ms(stored.starts_at, stored.ends_at, stored.time_zone)
        look = Look.into(stored.audience, starts_ms, services.now_ms())
        shown = await _show(services, stored, stored.id, look, "")
    else:
        shown = _nothing(request, Form({}, {}), "Where it would stand is shown as you type.")
    context = await asyncio.to_thread(_context, request, fields, stored, form)
    return await asyncio.to_thread(page, request, "banners/edit.html", **context, **shown)


def _context(
    request: ConsoleRequest, fields: Fields, stored: Banner | None, form: Form | None
) -> dict[str, Any]:
    """Gather what the form shows, but for what stands beside it."""
    services = services_of(request)
    history = [] if stored is None else history_of(request, BANNERS, stored.id)
    found, trouble = ({}, "") if stored is None else _performance(services, [stored.id])
    performance = None if stored is None else found.get(stored.id)
    return {
        "title": "New banner" if stored is None else stored.title,
        "fields": fields | ({} if stored is None else {"id": stored.id}),
        "is_new": stored is None,
        "revision": seen_revision(stored, form),
        "state": None if stored is None else _state(stored, services.now_ms()),
        "history": history,
        "changed_by": changed_by(history, request),
        "zones": ZONES,
        "performance": performance,
        "trouble": trouble,
        "figure": None
        if performance is None or len(performance.days) < 2
        else clicks_by_day(services.console.plotter, performance),
        "path": "" if stored is None else BANNERS.path_of(stored.id),
    }


async def _look(request: ConsoleRequest, form: Form) -> dict[str, Any]:
    """Try the banner that was typed; a picture that is yet to be sent is not seen."""
    try:
        no_picture = Form({**form.fields, "image_url": (NO_PICTURE,)}, {})
        banner = read_banner(form if form.text("image_url") else no_picture)
        banner_id = form.text("id") or DRAFT_ID
        look = Look.read(form.text)
        return await _show(services_of(request), banner, banner_id, look, form.text("find"))
    except (EndcapError, msgspec.ValidationError) as error:
        said = next(iter(errors_of(error, form).values()))
        return await asyncio.to_thread(_nothing, request, form, said)


async def _show(
    services: Services, banner: Banner, banner_id: str, look: Look, find: str
) -> dict[str, Any]:
    placements = services.current.get().placements.values()
    on = [one.id for one in placements if one.kind == "banners" and one.enabled]
    asked = sorted(on)[:MAX_LOOKED]
    draft = msgspec.structs.replace(banner, id=banner_id, revision=0)
    without = Drafts(banners=(msgspec.structs.replace(draft, enabled=False),))
    pairs = (
        await show_change(services, look, asked, Drafts(banners=(draft,)), without) if asked else []
    )
    name_of = namer(services)
    return {
        "look": look,
        "choices": choices(services),
        "pairs": pairs,
        "said": "",
        "find": find,
        "found": await asyncio.to_thread(find_items, services, find),
        "named": [name_of(one) for one in banner.item_ids],
        "card": _card(draft),
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
        "named": [name_of(one) for one in form.lines("item_ids")],
        "card": Card(id="", title=form.text("title"), image_url=form.text("image_url")),
    }


def _performance(
    services: Services, banner_ids: list[str]
) -> tuple[dict[str, BannerPerformance], str]:
    """Read how banners do; a store that cannot be read is said, and the page goes on."""
    try:
        events = services.settings.event_log
        period_ms = services.engine.rates.period_ms
        now_ms = services.now_ms()
        return read_performance(events, banner_ids, now_ms=now_ms, period_ms=period_ms), ""
    except EndcapError as error:
        return {}, error.message


def _card(banner: Banner) -> Card:
    shown = "" if banner.image_url == NO_PICTURE else banner.image_url
    return Card(id=banner.id, title=banner.title, image_url=shown)


def _state(banner: Banner, now_ms: int) -> tuple[str, str]:
    return state_of(
        banner.starts_at,
        banner.ends_at,
        banner.time_zone,
        now_ms=now_ms,
        is_on=banner.enabled and banner.weight > 0,
    )
