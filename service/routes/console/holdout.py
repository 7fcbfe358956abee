"""The global holdout: a share of everybody whom no rollout treats, and who is in it."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Response, get, post

from models.errors import EndcapError, NotFoundError
from service.console.form import Form
from service.console.formatting import number, percent
from service.console.held_out import HeldOut, count_held_out
from service.control.precondition import RevisionError
from service.rollouts.definition import Rollout
from service.rollouts.layer import HOLDOUT_ID, Holdout
from service.routes.console.editing import (
    Section,
    changed_by,
    delete_document,
    history_of,
    save_document,
    seen_revision,
    undo_document,
)
from service.routes.console.form_errors import REFUSALS, errors_of
from service.routes.console.frame import ConsoleRequest, Page, go, page, render, wants_part
from service.routes.console.gate import FormData, section
from service.routes.console.links import rollout_path
from service.routes.documents import list_documents
from service.routes.reach import DAYS, MAX_EXPOSURES
from service.services import services_of
from service.stores.known_visitors import read_known_visitors

PATH = "/console/holdout"
HOLDOUT = Section("holdout", "Holdout", PATH)
NOBODY = Holdout(id=HOLDOUT_ID, share=0.0)


class HoldoutPages(Controller):
    """The holdout's one page."""

    path = "/holdout"
    opt = section("rollouts")

    @get(sync_to_thread=True)
    def show(self, request: ConsoleRequest) -> Page:
        """Show its share and who is in it."""
        stored = stored_holdout(request)
        return _draw(request, number(100 * stored.share))

    @post("/preview", status_code=200, sync_to_thread=True)
    def preview(self, request: ConsoleRequest, form: FormData) -> Response[Any]:
        """Count who would be in it; a part for the script, a page without it."""
        errors: dict[str, str] = {}
        held = None
        try:
            held = _count(request, stored_holdout(request), _share(form))
        except EndcapError as error:
            errors = errors_of(error)
        if wants_part(request):
            body = render(request, "layers/held.html", held=held, errors=errors, days=DAYS)
            return Response(body, media_type="text/html")
        return _draw(request, form.text("share"), held=held, errors=errors, form=form)

    @post("/save", sync_to_thread=True)
    def save(self, request: ConsoleRequest, form: FormData) -> Response[Any]:
        """Set the share, if nobody was quicker."""
        stored = stored_holdout(request)
        try:
            document = Holdout(share=_share(form), salt=stored.salt)
            save_document(request, HOLDOUT, HOLDOUT_ID, document, form)
        except RevisionError:
            return _draw(request, form.text("share"), status=412, is_late=True)
        except REFUSALS as error:
            errors = errors_of(error)
            if "id" in errors:  # two set the first one at the same time
                return _draw(request, form.text("share"), status=412, is_late=True)
            return _draw(request, form.text("share"), status=400, errors=errors, form=form)
        return go(request, PATH, f"{percent(document.share, 4)} of everybody is held out.")

    @post("/end", sync_to_thread=True)
    def end(self, request: ConsoleRequest) -> Response[Any]:
        """End it: rollouts reach everybody again."""
        try:
            delete_document(request, HOLDOUT, HOLDOUT_ID)
        except NotFoundError:
            return go(request, PATH, "There is no holdout.", "info")
        return go(request, PATH, "The holdout is ended. Rollouts reach everybody again.")

    @post("/undo", sync_to_thread=True)
    def undo(self, request: ConsoleRequest, form: FormData) -> Response[Any]:
        """Set it as it was after a change of its history."""
        try:
            undo_document(request, HOLDOUT, HOLDOUT_ID, form)
        except REFUSALS as error:
            share = number(100 * stored_holdout(request).share)
            return _draw(request, share, status=409, errors=errors_of(error))
        return go(request, PATH, "It is as it was.")


def stored_holdout(request: ConsoleRequest) -> Holdout:
    """Read it; one of nobody where there is none."""
    try:
        found = services_of(request).control.find("holdout", HOLDOUT_ID)
    except NotFoundError:
        return NOBODY
    assert isinstance(found, Holdout)
    return found


def _share(form: Form) -> float:
    return round(form.share("share", "Share"), 6)


def _count(request: ConsoleRequest, stored: Holdout, share: float) -> HeldOut:
    services = services_of(request)
    known = read_known_visitors(
        services.settings.event_log,
        since_ms=services.now_ms() - DAYS * 86_400_000,
        max_exposures=MAX_EXPOSURES,
    )
    return count_held_out(known.visitors, stored, round(share * 1_000_000))


def _draw(
    request: ConsoleRequest,
    typed: str,
    *,
    status: int = 200,
    errors: dict[str, str] | None = None,
    held: HeldOut | None = None,
    is_late: bool = False,
    form: Form | None = None,
) -> Page:
    stored = stored_holdout(request)
    history = history_of(request, HOLDOUT, HOLDOUT_ID)
    trouble = ""
    if held is None:
        try:
            held = _count(request, stored, stored.share)
        except EndcapError as error:
            trouble = error.message
    rollouts = list_documents(request, "rollout", Rollout)
    return page(
        request,
        "layers/holdout.html",
        title="Holdout",
        status=status,
        errors=errors or {},
        stored=stored,
        is_set=stored is not NOBODY,
        revision=seen_revision(None if stored is NOBODY else stored, form),
        share=typed,
        held=held,
        trouble=trouble,
        days=DAYS,
        newest=history[0] if is_late and history else None,
        changed_by=changed_by(history, request),
        history=history,
        reached_anyway=[
            (one.name or one.key, rollout_path(one.key)) for one in rollouts if not one.holdout
        ],
    )
