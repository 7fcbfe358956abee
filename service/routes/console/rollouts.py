"""All rollouts and what each does now; and a new one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from litestar import Controller, Response, get, post

from service.console.audience_words import audience_words
from service.console.form import Form, FormError
from service.console.rollout_state import State, is_treating, states_of
from service.console.value_form import VALUE_TYPES, read_type, read_value
from service.control.consent import Consent
from service.control.documents import Placement
from service.control.fit import rollout_key_of
from service.control.precondition import Precondition, RevisionError
from service.control.stale import stale_rollouts
from service.control.writing import Change
from service.middleware.access import principal_of
from service.middleware.json_body import broken_rule
from service.rollouts.definition import Rollout, Variant
from service.routes.console.deleted import deleted_of
from service.routes.console.editing import Section, check_page_id
from service.routes.console.form_errors import REFUSALS, errors_of
from service.routes.console.frame import ConsoleRequest, Page, go, page
from service.routes.console.gate import FormData, section
from service.routes.console.links import rollout_path
from service.routes.documents import list_documents
from service.services import services_of

ROLLOUTS = Section("rollout", "Rollouts", "/console/rollouts")
_INPUTS = {"variants": "variant"}
"""The form has one treatment, and the document a list of them."""
RECIPES = (
    ("", "the placement's own"),
    ("for_you", "for you"),
    ("similar_items", "similar items"),
    ("bought_together", "bought together"),
    ("trending", "trending"),
    ("recently_viewed", "recently viewed"),
    ("static", "static list"),
    ("banner_for_you", "banner for you"),
)


@dataclass(frozen=True, slots=True)
class Line:
    """A rollout in the list."""

    rollout: Rollout
    path: str
    states: list[State]
    is_treating: bool
    audience: str
    placements: list[str]


class RolloutListPages(Controller):
    """The list, and the form of a new one."""

    path = "/rollouts"
    opt = section("rollouts")

    @get(sync_to_thread=True)
    def show_all(self, request: ConsoleRequest) -> Page:
        """List rollouts, those that treat somebody first, and what was deleted lately."""
        lines = _lines(request)
        deleted = deleted_of(request, ROLLOUTS, {line.rollout.key for line in lines})
        return page(request, "rollouts/list.html", title="Rollouts", lines=lines, deleted=deleted)

    @get("/new", sync_to_thread=True)
    def show_new(self, request: ConsoleRequest) -> Page:
        """Show the form of a new rollout."""
        return _ask(request, Form({}, {}), {})

    @post("/new", sync_to_thread=True)
    def make(self, request: ConsoleRequest, form: FormData) -> Response[str]:
        """Make a rollout, which treats nobody yet unless a share is given."""
        if form.is_on("redraw"):
            return _ask(request, form, {})
        key = form.text("key")
        try:
            if not key:
                raise FormError("key", "a key is missing; placements and flags name it")
            rollout = _rollout(form)
            expected = Precondition(must_be_new=True)
            change = Change(
                "rollout",
                check_page_id(key, "key"),
                principal_of(request).key_id,
                expected,
                Consent(),
            )
            services_of(request).control.put(change, rollout)
        except RevisionError:
            taken = {"key": f"{key!r} is taken; choose another key"}
            return _ask(request, form, taken, status=400)
        except REFUSALS as error:
            errors = {_INPUTS.get(name, name): why for name, why in errors_of(error).items()}
            return _ask(request, form, errors, status=400)
        return go(request, rollout_path(key), f"{key} is made.")


def _rollout(form: Form) -> Rollout:
    variant: dict[str, Any] = {
        "key": form.text("variant") or "personal",
        "recipe": form.optional("recipe"),
    }
    document: dict[str, Any] = {
        "name": form.optional("name"),
        "share": round(form.share("share", "Share"), 6),
        "variants": [variant],
        "unit": form.text("unit", "user_id"),
        "approval": form.is_on("approval"),
    }
    value_type = read_type(form.text("value_type"))
    if value_type is not None:
        variant["value"] = read_value(form.text("value"), value_type, "value")
        document["value_type"] = value_type
        if form.text("control_value"):
            control = read_value(form.text("control_value"), value_type, "control_value")
            document["control_value"] = control
    try:
        return msgspec.convert(document, Rollout)
    except msgspec.ValidationError as error:
        raise broken_rule(document, error) from error


def _ask(request: ConsoleRequest, form: Form, errors: dict[str, str], status: int = 200) -> Page:
    found = list_documents(request, "placement", Placement)
    return page(
        request,
        "rollouts/new.html",
        title="New rollout",
        status=status,
        form=form,
        errors=errors,
        recipes=RECIPES,
        value_types=VALUE_TYPES,
        placements=[one.id for one in found],
        variant=Variant(key="personal").key,
    )


def _lines(request: ConsoleRequest) -> list[Line]:
    services = services_of(request)
    now_ms = services.now_ms()
    rollouts = list_documents(request, "rollout", Rollout)
    stale = {one.key for one in stale_rollouts(services.control_store, rollouts, now_ms)}
    used: dict[str, list[str]] = {}
    for placement in list_documents(request, "placement", Placement):
        used.setdefault(rollout_key_of(placement), []).append(placement.id)
    lines = [
        Line(
            rollout=one,
            path=rollout_path(one.key),
            states=states_of(one, now_ms, is_stale=one.key in stale),
            is_treating=is_treating(one, now_ms),
            audience=audience_words(one.audience),
            placements=used.get(one.key, []),
        )
        for one in rollouts
    ]
    return sorted(lines, key=lambda line: (not line.is_treating, line.rollout.key))
