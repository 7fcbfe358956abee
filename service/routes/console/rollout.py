"""One rollout: its share and whom that moves, the kill switch, its history and the way back."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Response, get, post

from service.console.form import Form
from service.console.formatting import percent, utc_minute
from service.console.tables import Table
from service.control.consent import Consent, JumpError, PhaseError
from service.control.precondition import RevisionError
from service.control.writing import Changed
from service.middleware.access import principal_of
from service.routes.console.downloads import csv_file
from service.routes.console.form_errors import REFUSALS, errors_of
from service.routes.console.frame import ConsoleRequest, go, render, wants_part
from service.routes.console.gate import FormData, section
from service.routes.console.links import rollout_path
from service.routes.console.rollout_changes import (
    change_of,
    control_of,
    find_conflict,
    find_rollout,
    patch_rollout,
)
from service.routes.console.rollout_rows import (
    LIFT_COLUMNS,
    METRIC_COLUMNS,
    TIME_COLUMNS,
    lift_rows,
    metric_rows,
)
from service.routes.console.rollout_view import (
    DEFAULT_METRIC,
    Question,
    lift_history,
    read_report,
    show_rollout,
)
from service.routes.documents import PathId, Undo, check_path_id
from service.routes.reach import ChangePreview, check_undone_reach, preview
from service.services import services_of


class RolloutPages(Controller):
    """The page of a rollout and what can be done there."""

    path = "/rollouts/{rollout_key:str}"
    opt = section("rollouts")

    @get(sync_to_thread=True)
    def show(self, request: ConsoleRequest, rollout_key: PathId) -> Response[Any]:
        """Show it."""
        return show_rollout(request, check_path_id(rollout_key, "rollout key"))

    @post("/preview", sync_to_thread=True)
    def preview_share(
        self, request: ConsoleRequest, rollout_key: PathId, form: FormData
    ) -> Response[Any]:
        """Say whom another share would move; a part for the script, a page without it."""
        typed, seen = form.text("share"), form.text("revision")
        try:
            found = preview(request, rollout_key, {"share": _share(form)})
        except REFUSALS as error:
            if wants_part(request):
                text = render(request, "rollouts/reach.html", preview=None, errors=errors_of(error))
                return Response(text, media_type="text/html", status_code=200)
            return show_rollout(
                request, rollout_key, status=400, errors=errors_of(error), share=typed, seen=seen
            )
        if wants_part(request):
            text = render(request, "rollouts/reach.html", preview=found)
            return Response(text, media_type="text/html", status_code=200)
        return show_rollout(request, rollout_key, share=typed, seen=seen, preview=found)

    @post("/share", sync_to_thread=True)
    def move_share(
        self, request: ConsoleRequest, rollout_key: PathId, form: FormData
    ) -> Response[Any]:
        """Move the share, if nobody was quicker and, for a jump, if it was confirmed."""
        typed, seen = form.text("share"), form.text("revision")
        revision = int(form.number("revision", "Revision"))
        consent = Consent(confirm=form.is_on("confirm"))
        try:
            patch = {"share": _share(form)}
            changed = patch_rollout(request, rollout_key, patch, revision, consent)
            done = f"{rollout_key} treats {percent(patch['share'], 4)} of its units now."
        except RevisionError:
            conflict = find_conflict(request, rollout_key, revision)
            return show_rollout(request, rollout_key, status=409, share=typed, conflict=conflict)
        except JumpError as error:
            return show_rollout(
                request,
                rollout_key,
                status=409,
                share=typed,
                preview=_try(request, rollout_key, {"share": _share(form)}),
                question=Question(
                    text=f"{_plainly(error.message)}. Is that what you want?",
                    label=f"Yes, move it to {typed} %",
                    path=rollout_path(rollout_key, "share"),
                    hidden={"share": typed, "revision": str(revision), "confirm": "1"},
                ),
            )
        except REFUSALS as error:
            return show_rollout(
                request, rollout_key, status=400, errors=errors_of(error), share=typed, seen=seen
            )
        return go(request, rollout_path(rollout_key), *_told(changed, done))

    @post("/kill", sync_to_thread=True)
    def kill(self, request: ConsoleRequest, rollout_key: PathId) -> Response[str]:
        """Put everyone into control, at once and without a question."""
        control_of(request).kill(change_of(request, rollout_key), killed=True)
        text = f"{rollout_key} is killed: everyone is in control."
        return go(request, rollout_path(rollout_key), text, "warn")

    @post("/resume", sync_to_thread=True)
    def resume(self, request: ConsoleRequest, rollout_key: PathId) -> Response[Any]:
        """End a kill; a rollout with four eyes is proposed to go on."""
        rollout = find_rollout(request, rollout_key)
        try:
            if rollout.approval:
                changed = patch_rollout(
                    request, rollout_key, {"killed": False}, rollout.revision, Consent()
                )
            else:
                change = change_of(request, rollout_key)
                changed = control_of(request).kill(change, killed=False)
        except REFUSALS as error:
            return show_rollout(request, rollout_key, status=409, errors=errors_of(error))
        done = f"{rollout_key} goes on; shares and arms are what they were."
        return go(request, rollout_path(rollout_key), *_told(changed, done))

    @post("/undo", sync_to_thread=True)
    def undo(self, request: ConsoleRequest, rollout_key: PathId, form: FormData) -> Response[Any]:
        """Write it again as it was after a change of its history."""
        revision = int(form.number("revision", "Revision"))
        yes = form.is_on("confirm")
        undo = Undo(revision=revision, confirm=yes, new_phase=yes)
        try:
            check_undone_reach(request, rollout_key, undo)
            change = change_of(request, rollout_key, consent=Consent(new_phase=yes, confirm=yes))
            changed = control_of(request).undo(change, revision)
        except (JumpError, PhaseError) as error:
            question = Question(
                text=f"{_plainly(error.message)}. Go back all the same?",
                label=f"Yes, go back to revision {revision}",
                path=rollout_path(rollout_key, "undo"),
                hidden={"revision": str(revision), "confirm": "1"},
            )
            return show_rollout(request, rollout_key, status=409, question=question)
        except REFUSALS as error:
            if rollout_key not in services_of(request).current.get().rollouts:
                # It is deleted, and has no page for what is wrong.
                raise
            return show_rollout(request, rollout_key, status=409, errors=errors_of(error))
        done = f"{rollout_key} is as it was after revision {revision}."
        return go(request, rollout_path(rollout_key), *_told(changed, done))

    @post("/delete", sync_to_thread=True)
    def delete(self, request: ConsoleRequest, rollout_key: PathId, form: FormData) -> Response[Any]:
        """Delete it; its history stays."""
        revision = int(form.number("revision", "Revision"))
        try:
            control_of(request).delete(change_of(request, rollout_key, revision=revision))
        except REFUSALS as error:
            return show_rollout(request, rollout_key, status=409, errors=errors_of(error))
        return go(request, "/console/rollouts", f"{rollout_key} is deleted. Its history stays.")

    @post("/proposals/{proposal_id:str}/{decision:str}", sync_to_thread=True)
    def decide(
        self, request: ConsoleRequest, rollout_key: PathId, proposal_id: PathId, decision: PathId
    ) -> Response[Any]:
        """Approve what somebody else proposed, or reject it."""
        approves = decision == "approve"
        try:
            control_of(request).decide(
                rollout_key, proposal_id, actor=principal_of(request).key_id, approves=approves
            )
        except REFUSALS as error:
            return show_rollout(request, rollout_key, status=409, errors=errors_of(error))
        text = "The change is made." if approves else "The proposal is rejected; nothing changed."
        return go(request, rollout_path(rollout_key), text)

    @get("/lift.csv", sync_to_thread=True)
    def lift_csv(self, request: ConsoleRequest, rollout_key: PathId) -> Response[str]:
        """Give the lift by epoch as a file."""
        report, _ = read_report(services_of(request), find_rollout(request, rollout_key))
        metric = str(request.query_params.get("metric", DEFAULT_METRIC))
        rows = lift_rows(report, metric) if report else []
        told = [[row[0], utc_minute(row[1]), utc_minute(row[2]), *row[3:]] for row in rows]
        return csv_file(f"{rollout_key}-lift", Table(LIFT_COLUMNS, told))

    @get("/lift-over-time.csv", sync_to_thread=True)
    def lift_over_time_csv(self, request: ConsoleRequest, rollout_key: PathId) -> Response[str]:
        """Give the lift as it was known from time to time as a file."""
        services = services_of(request)
        report, _ = read_report(services, find_rollout(request, rollout_key))
        metric = str(request.query_params.get("metric", DEFAULT_METRIC))
        rows = lift_history(services, rollout_key, report, metric) if report else []
        told = [[utc_minute(row[0]), *row[1:]] for row in rows]
        return csv_file(f"{rollout_key}-lift-over-time", Table(TIME_COLUMNS, told))

    @get("/metrics.csv", sync_to_thread=True)
    def metrics_csv(self, request: ConsoleRequest, rollout_key: PathId) -> Response[str]:
        """Give every metric over all epochs as a file."""
        report, _ = read_report(services_of(request), find_rollout(request, rollout_key))
        rows = metric_rows(report) if report else []
        return csv_file(f"{rollout_key}-metrics", Table(METRIC_COLUMNS, rows))


def _share(form: Form) -> float:
    return round(form.share("share", "Share"), 8)


def _try(request: ConsoleRequest, key: str, patch: dict[str, Any]) -> ChangePreview | None:
    try:
        return preview(request, key, patch)
    except REFUSALS:
        return None


def _told(changed: Changed, done: str) -> tuple[str, str]:
    """Say what came of a change: it is made, or it waits for a second key."""
    if changed.proposal is not None:
        return "Proposed. Nothing changes until another key approves it.", "info"
    return done, "good"


def _plainly(message: str) -> str:
    """Leave out what to send to the API instead."""
    return message.split("; see who with", maxsplit=1)[0].split("; send", maxsplit=1)[0]
