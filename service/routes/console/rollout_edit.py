"""The forms of a rollout: its fields, and its whole document as JSON."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Controller, Response, get, post

from models.errors import NotFoundError
from service.console.prerequisite_form import prerequisite_choices
from service.console.ramp_form import GUARDRAILS
from service.console.rollout_form import Fields, fields_of, overlaid, patch_from
from service.console.value_form import VALUE_TYPES
from service.console.variant_form import COLUMNS
from service.control.consent import Consent, JumpError, PhaseError
from service.control.documents import Placement
from service.control.fit import rollout_key_of
from service.control.precondition import RevisionError
from service.control.slots import SlotError
from service.middleware.json_body import decode_json
from service.rollouts.definition import Rollout
from service.rollouts.segment import INTENT_SEGMENTS
from service.routes.console.form_errors import REFUSALS, errors_of
from service.routes.console.frame import ConsoleRequest, Page, go, page
from service.routes.console.gate import FormData, section
from service.routes.console.layer_views import layer_views
from service.routes.console.links import rollout_path
from service.routes.console.rollout_changes import (
    Conflict,
    change_of,
    control_of,
    find_conflict,
    find_rollout,
    patch_rollout,
    rollout_at,
)
from service.routes.console.rollouts import RECIPES
from service.routes.documents import PathId, list_documents
from service.routes.reach import check_replaced_reach
from service.services import services_of

SPARE_ROWS = 2
_UNSAVED = "Nothing was changed, so nothing was saved."
_DELETED = (
    "Somebody deleted this rollout meanwhile, so nothing was saved. What you typed stands here."
)


class RolloutEditPages(Controller):
    """Editing a rollout."""

    path = "/rollouts/{rollout_key:str}"
    opt = section("rollouts")

    @get("/edit", sync_to_thread=True)
    def show_form(self, request: ConsoleRequest, rollout_key: PathId) -> Page:
        """Show the form."""
        rollout = find_rollout(request, rollout_key)
        return _ask(request, rollout, fields_of(rollout, layer_views(request)), {})

    @post("/edit", sync_to_thread=True)
    def save(self, request: ConsoleRequest, rollout_key: PathId, form: FormData) -> Response[Any]:
        """Save what was changed in the form, and nothing else."""
        revision = int(form.number("revision", "Revision"))
        base = rollout_at(request, rollout_key, revision)
        if form.is_on("redraw"):
            return _ask(request, base, form.fields, {})
        yes = form.is_on("confirm")
        consent = Consent(new_phase=yes, confirm=yes)
        layers = layer_views(request)
        fields, status, errors = form.fields, 400, {}
        question, conflict = "", None
        try:
            patch = patch_from(form, base, layers)
            if not patch:
                return go(request, rollout_path(rollout_key), _UNSAVED, "info")
            changed = patch_rollout(request, rollout_key, patch, revision, consent)
        except RevisionError:
            conflict = find_conflict(request, rollout_key, revision)
            fields, status = overlaid(conflict.current, form, base, layers), 409
            base = conflict.current
        except (JumpError, PhaseError) as error:
            question, status = error.message.split("; s", maxsplit=1)[0], 409
        except SlotError as error:
            errors = {"layer_share": error.message.split("; GET", maxsplit=1)[0]}
        except NotFoundError:
            errors, status = {"": _DELETED}, 409
        except REFUSALS as error:
            errors = errors_of(error, form)
        else:
            text = (
                "Saved."
                if changed.proposal is None
                else "Proposed. Nothing changes until another key approves it."
            )
            return go(request, rollout_path(rollout_key), text)
        return _ask(
            request, base, fields, errors, status=status, question=question, conflict=conflict
        )

    @get("/json", sync_to_thread=True)
    def show_json(self, request: ConsoleRequest, rollout_key: PathId) -> Page:
        """Show the whole document."""
        rollout = find_rollout(request, rollout_key)
        return _ask_json(request, rollout, _written(rollout), {})

    @post("/json", sync_to_thread=True)
    def save_json(
        self, request: ConsoleRequest, rollout_key: PathId, form: FormData
    ) -> Response[Any]:
        """Replace the whole document."""
        revision = int(form.number("revision", "Revision"))
        yes = form.is_on("confirm")
        consent = Consent(new_phase=yes, confirm=yes)
        typed = form.text("document")
        base = rollout_at(request, rollout_key, revision)
        question, status, errors, conflict = "", 400, {}, None
        try:
            current = find_rollout(request, rollout_key)
            document = decode_json(typed.encode(), msgspec.json.Decoder(Rollout))
            document = msgspec.structs.replace(document, revision=0)
            change = change_of(request, rollout_key, revision=revision, consent=consent)
            change.precondition.check(change.subject, current)
            check_replaced_reach(request, rollout_key, document, consent)
            changed = control_of(request).put(change, document)
        except RevisionError:
            conflict, status = find_conflict(request, rollout_key, revision), 409
        except (JumpError, PhaseError) as error:
            question, status = error.message.split("; s", maxsplit=1)[0], 409
        except NotFoundError:
            errors, status = {"document": _DELETED}, 409
        except REFUSALS as error:
            told = errors_of(error, form)
            errors = {
                "document": "; ".join(f"{name or 'document'}: {why}" for name, why in told.items())
            }
        else:
            text = "Saved." if changed.proposal is None else "Proposed."
            return go(request, rollout_path(rollout_key), text)
        return _ask_json(
            request, base, typed, errors, status=status, question=question, conflict=conflict
        )


def _written(rollout: Rollout) -> str:
    document = {
        name: value
        for name, value in msgspec.to_builtins(rollout).items()
        if name not in ("key", "revision", "epoch", "phase", "killed")
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def _ask(
    request: ConsoleRequest,
    rollout: Rollout,
    fields: Fields,
    errors: dict[str, str],
    *,
    status: int = 200,
    question: str = "",
    conflict: Conflict | None = None,
) -> Page:
    rollouts = list_documents(request, "rollout", Rollout)
    steered = [
        one
        for one in list_documents(request, "placement", Placement)
        if rollout_key_of(one) == rollout.key
    ]
    return page(
        request,
        "rollouts/edit.html",
        title=f"Edit {rollout.name or rollout.key}",
        status=status,
        rollout=rollout,
        path=rollout_path(rollout.key),
        errors=errors,
        question=question,
        conflict=conflict,
        one=lambda name: (fields.get(name) or ("",))[-1],
        variant_rows=_rows(fields, *COLUMNS),
        value_types=VALUE_TYPES,
        has_banners=any(one.kind == "banners" for one in steered)
        or any(fields.get("variant_banners", ())),
        steers=bool(steered) or any(fields.get("variant_recipe", ())),
        layers=layer_views(request).values(),
        prerequisite_rows=_rows(fields, "prerequisite"),
        prerequisite_choices=prerequisite_choices(rollout, rollouts),
        step_rows=_rows(fields, "ramp_share", "ramp_hours", "ramp_units"),
        guard_rows=_rows(fields, "guard_metric", "guard_limit"),
        guardrails=GUARDRAILS,
        recipes=RECIPES,
        segments=sorted({*services_of(request).engine.shelf().segments, *INTENT_SEGMENTS}),
    )


def _rows(fields: Fields, *names: str) -> list[tuple[str, ...]]:
    """Line up fields that come several times, with rows to spare."""
    columns = [list(fields.get(name, ())) for name in names]
    n = max(map(len, columns)) + SPARE_ROWS
    return [
        tuple(column[row] if row < len(column) else "" for column in columns) for row in range(n)
    ]


def _ask_json(
    request: ConsoleRequest,
    rollout: Rollout,
    text: str,
    errors: dict[str, str],
    *,
    status: int = 200,
    question: str = "",
    conflict: Conflict | None = None,
) -> Page:
    return page(
        request,
        "rollouts/json.html",
        title=f"{rollout.name or rollout.key} as JSON",
        status=status,
        rollout=conflict.current if conflict else rollout,
        path=rollout_path(rollout.key),
        text=text,
        errors=errors,
        question=question,
        conflict=conflict,
    )
