"""Rules: what merchandisers want beside, or against, the ranking."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, FromQuery

from models.errors import EndcapError
from service.console.audience_words import audience_words
from service.console.form import Form
from service.console.next_steps import for_the_console
from service.console.rule_form import (
    ACTIONS,
    PER,
    Fields,
    about_in_words,
    blank_rule,
    does_in_words,
    is_about_nothing,
    read_rule,
    show_rule,
    typed_rule,
)
from service.console.schedule_form import ZONES, state_of
from service.control.drafts import Drafts
from service.control.precondition import RevisionError
from service.control.rule import Rule
from service.control.rule_conflicts import find_conflicts
from service.rollouts.definition import CONTROL
from service.rollouts.schedule import schedule_ms
from service.routes.console.deleted import deleted_of
from service.routes.console.document_pages import SwitchedPages
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
from service.routes.console.looking import AS_DEALT, Look, all_variants
from service.routes.console.showing import choices, find_items, namer, show_change, unknown_ids
from service.services import services_of

RULES = Section("rule", "Rules", "/console/rules")
MAX_LOOKED = 3
"""Placements beside the form."""
DRAFT_ID = "(this rule)"
UNSAID = "What the rule would do stands here once you have said what it is about."


class RulePages(SwitchedPages):
    """Rules, one by one and all together."""

    path = "/rules"
    opt = section("rules")
    documents = RULES

    @get(sync_to_thread=True)
    def show_list(self, request: ConsoleRequest) -> Page:
        """List all rules, those in effect first."""
        services = services_of(request)
        rules = services.current.get().rules
        rows: list[dict[str, Any]] = [
            {
                "rule": rule,
                "path": RULES.path_of(rule.id),
                "does": does_in_words(rule),
                "about": about_in_words(rule),
                "for_whom": audience_words(rule.audience),
                "state": _state(rule, services.now_ms()),
            }
            for rule in rules.values()
        ]
        order = {"live": 0, "scheduled": 1, "off": 2, "ended": 3}
        rows.sort(key=lambda row: (order[row["state"][0]], row["rule"].id))
        return page(
            request,
            "rules/list.html",
            title="Rules",
            rows=rows,
            warnings=find_conflicts(rules.values(), services.now_ms()),
            deleted=deleted_of(request, RULES, rules),
        )

    @get("/new")
    async def show_new(
        self, request: ConsoleRequest, item: FromQuery[str] = "", placement: FromQuery[str] = ""
    ) -> Page:
        """Show an empty form, or one about an item."""
        fields = blank_rule() | {"item_ids": item, "placements": [placement] if placement else []}
        return await _draw(request, fields)

    @get("/{rule_id:str}")
    async def show_one(self, request: ConsoleRequest, rule_id: FromPath[str]) -> Page:
        """Show a rule in the form, and what it does."""
        found = await asyncio.to_thread(services_of(request).control.find, "rule", rule_id)
        assert isinstance(found, Rule)
        return await _draw(request, show_rule(found), stored=found)

    @post("/preview", status_code=200)
    async def preview(self, request: ConsoleRequest, form: FormData) -> Response[Any]:
        """Show what the rule in the form would do; without script, with the form around it."""
        fields = typed_rule(form)
        if form.text("add"):
            name = "item_ids"
            fields[name] = "\n".join([*form.lines(name), form.text("add")])
            form = Form({**form.fields, name: (fields[name],)}, form.files)
        if not wants_part(request):
            return await _draw(request, fields, form=form)
        shown = await _look(request, form)
        body = await asyncio.to_thread(render, request, "rules/beside.html", **shown)
        return Response(body, media_type="text/html")

    @post("/save")
    async def save(self, request: ConsoleRequest, form: FormData) -> Response[Any]:
        """Save the rule, on the state that the form was opened with."""
        return await asyncio.to_thread(_save, request, form)


def _save(request: ConsoleRequest, form: Form) -> Response[Any]:
    services = services_of(request)
    rules = services.current.get().rules
    is_new = not form.text("revision")
    try:
        rule_id = new_id(form, set(rules), fallback="rule") if is_new else form.text("id")
        rule = read_rule(form, rules.get(rule_id))
        try:
            save_document(request, RULES, rule_id, rule, form)
        except RevisionError as error:
            return show_conflict(request, RULES, error, rule, form)
    except REFUSALS as error:
        context = _context(request, typed_rule(form), _stored(request, form), form)
        return page(
            request,
            "rules/edit.html",
            status=400,
            errors=errors_of(error, form),
            **context,
            **_nothing(request, form, "Mend the form to see what it would do."),
        )
    return go(request, RULES.path_of(rule_id), "Saved. It is in effect within a second.")


async def _draw(
    request: ConsoleRequest, fields: Fields, *, stored: Rule | None = None, form: Form | None = None
) -> Page:
    if form is None:
        shown = await _look_at(request, _look_into(request, stored), fields, stored)
    else:
        stored = _stored(request, form)
        shown = await _look(request, form)
    context = await asyncio.to_thread(_context, request, fields, stored, form)
    return await asyncio.to_thread(page, request, "rules/edit.html", **context, **shown)


def _stored(request: ConsoleRequest, form: Form) -> Rule | None:
    """Find the rule that a form is about; nothing if it makes a new one."""
    rules = services_of(request).current.get().rules
    return rules.get(form.text("id")) if form.text("revision") else None


def _context(
    request: ConsoleRequest, fields: Fields, stored: Rule | None, form: Form | None
) -> dict[str, Any]:
    """Gather what the form shows, but for what stands beside it."""
    services = services_of(request)
    known = services.current.get().placements
    is_new = stored is None
    history = [] if stored is None else history_of(request, RULES, stored.id)
    return {
        "title": "New rule" if stored is None else stored.name or stored.id,
        "fields": fields | ({} if stored is None else {"id": stored.id}),
        "is_new": is_new,
        "revision": seen_revision(stored, form),
        "state": None if stored is None else _state(stored, services.now_ms()),
        "history": history,
        "changed_by": changed_by(history, request),
        "actions": ACTIONS,
        "per": PER,
        "zones": ZONES,
        "path": "" if stored is None else RULES.path_of(stored.id),
        # One that is gone too: without it the rule would be everywhere.
        "placements": [(one, one in known) for one in sorted({*known, *fields["placements"]})],
    }


async def _look(request: ConsoleRequest, form: Form) -> dict[str, Any]:
    """Try the rule that was typed."""
    stored = _stored(request, form)
    try:
        rule = read_rule(form, stored)
        look = Look.read(form.text)
        return await _show(request, rule, stored, look, form.text("find"))
    except (EndcapError, msgspec.ValidationError) as error:
        said = next(iter(errors_of(error, form).values()))
        said = UNSAID if is_about_nothing(form) else said
        return await asyncio.to_thread(_nothing, request, form, said)


async def _look_at(
    request: ConsoleRequest, look: Look, fields: Fields, stored: Rule | None
) -> dict[str, Any]:
    nothing: dict[str, Any] = {
        "look": look,
        "choices": choices(services_of(request)),
        "pairs": None,
        "said": UNSAID,
        "found": [],
        "find": "",
        "named": [],
        "unknown": [],
    }
    if stored is None:
        return nothing
    try:
        return await _show(request, stored, stored, look, "")
    except EndcapError as error:
        return nothing | {"said": for_the_console(error.message)}


def _nothing(request: ConsoleRequest, form: Form, said: str) -> dict[str, Any]:
    services = services_of(request)
    name_of = namer(services)
    return {
        "look": Look.read(form.text),
        "choices": choices(services),
        "pairs": None,
        "said": said,
        "found": find_items(services, form.text("find")),
        "find": form.text("find"),
        "named": [name_of(one) for one in form.lines("item_ids")],
        "unknown": unknown_ids(services, form.lines("item_ids"), form.lines("banner_ids")),
    }


async def _show(
    request: ConsoleRequest, rule: Rule, stored: Rule | None, look: Look, find: str
) -> dict[str, Any]:
    """Show the slates without the rule, and with the rule as it is typed."""
    services = services_of(request)
    configuration = services.current.get()
    kind = "banners" if rule.is_about_banners else "items"
    asked = [
        one.id
        for one in configuration.placements.values()
        if one.kind == kind and one.enabled and (not rule.placements or one.id in rule.placements)
    ]
    draft = msgspec.structs.replace(rule, id=stored.id if stored else DRAFT_ID, revision=0)
    pairs = (
        await show_change(
            services,
            look,
            sorted(asked)[:MAX_LOOKED],
            Drafts(rules=(draft,)),
            Drafts(rules=(msgspec.structs.replace(draft, enabled=False),)),
        )
        if asked
        else []
    )
    name_of = namer(services)
    return {
        "look": look,
        "choices": choices(services),
        "pairs": pairs,
        "said": "",
        "find": find,
        "found": await asyncio.to_thread(find_items, services, find),
        "named": [name_of(one) for one in rule.select.item_ids or rule.select.banner_ids],
        "unknown": unknown_ids(services, rule.select.item_ids, rule.select.banner_ids),
    }


def _look_into(request: ConsoleRequest, rule: Rule | None) -> Look:
    """Look as somebody whom the rule is for, when it is in effect."""
    services = services_of(request)
    look = Look()
    if rule is not None:
        starts_ms, _ = schedule_ms(rule.starts_at, rule.ends_at, rule.time_zone)
        look = Look.into(rule.audience, starts_ms, services.now_ms())
    # Who is nobody in particular is in control, whose list has no scores to move.
    treated = [one for one in all_variants(services.current.get()) if one != CONTROL]
    named = () if rule is None else rule.variants
    wanted = [one for one in treated if not named or one in named]
    return dataclasses.replace(look, variant=wanted[0] if wanted else AS_DEALT)


def _state(rule: Rule, now_ms: int) -> tuple[str, str]:
    return state_of(rule.starts_at, rule.ends_at, rule.time_zone, now_ms=now_ms, is_on=rule.enabled)
