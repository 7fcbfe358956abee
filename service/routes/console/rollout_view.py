"""Gathers what the page of a rollout shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from models.errors import EndcapError
from service.console.audience_words import audience_words
from service.console.documents_diff import diff_documents
from service.console.figure import Figure
from service.console.formatting import number
from service.console.rollout_state import RampState, ramp_state, states_of
from service.console.schedule_form import schedule_words
from service.console.value_form import value_text
from service.control.approval import Proposal, list_proposals
from service.control.documents import Placement
from service.control.fit import rollout_key_of
from service.control.stale import stale_rollouts
from service.control.trail import AuditRecord, read_page
from service.middleware.access import principal_of
from service.reports.gather import report_rollout
from service.reports.report import Report
from service.rollouts.definition import CONTROL, Rollout
from service.routes.console.frame import ConsoleRequest, Page, page
from service.routes.console.links import rollout_path
from service.routes.console.overview import summarize
from service.routes.console.rollout_changes import Conflict, find_rollout
from service.routes.console.rollout_figures import draw_known_lift, draw_lift, draw_metrics
from service.routes.console.rollout_rows import METRIC_NAMES, known_lift
from service.routes.documents import list_documents
from service.routes.reach import ChangePreview
from service.services import Services, services_of

SHOWN_CHANGES = 20
DEFAULT_METRIC = "click_through"
LEAST_MOMENTS = 5
"""Moments that make a curve; before, the epochs are drawn."""
VERDICT_TONES = {"do_not_act": "bad", "better": "good", "worse": "bad", "mixed": "warn"}


@dataclass(frozen=True, slots=True)
class Question:
    """Something that is done only after a yes."""

    text: str
    label: str
    path: str
    hidden: dict[str, str]


@dataclass(frozen=True, slots=True)
class Told:
    """A line of the history."""

    record: AuditRecord
    summary: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class Waiting:
    """A proposal and what it would change."""

    proposal: Proposal
    differences: list[Any]
    is_mine: bool


def show_rollout(
    request: ConsoleRequest,
    key: str,
    *,
    status: int = 200,
    errors: dict[str, str] | None = None,
    share: str | None = None,
    seen: str = "",
    preview: ChangePreview | None = None,
    question: Question | None = None,
    conflict: Conflict | None = None,
) -> Page:
    """Draw the page of a rollout, with what somebody typed and what came of it.

    `seen` is the revision that a form was opened with; see `seen_revision`.
    """
    services = services_of(request)
    now_ms = services.now_ms()
    rollout = find_rollout(request, key)
    report, report_error = read_report(services, rollout)
    is_stale = bool(stale_rollouts(services.control_store, [rollout], now_ms))
    changes = _history(services, key, rollout)
    metric = str(request.query_params.get("metric", DEFAULT_METRIC))
    lift, metrics = _pictures(services, key, report, metric)
    return page(
        request,
        "rollouts/show.html",
        title=rollout.name or key,
        status=status,
        errors=errors or {},
        rollout=rollout,
        path=rollout_path(key),
        states=states_of(rollout, now_ms, is_stale=is_stale),
        share=number(100 * rollout.share) if share is None else share,
        seen=seen or rollout.revision,
        preview=preview,
        question=question,
        conflict=conflict,
        audience=audience_words(rollout.audience),
        schedule=schedule_words(rollout.starts_at, rollout.ends_at, rollout.time_zone),
        values={one.key: value_text(one.value) for one in rollout.variants}
        | {CONTROL: value_text(rollout.control_value)},
        placements=_placements(request, key),
        ramp=_ramp(rollout, report, now_ms),
        report=report,
        report_error=report_error,
        verdict_tone=VERDICT_TONES.get(report.verdict.code, "info") if report else "",
        lift=lift,
        metrics=metrics,
        metric=metric,
        metric_names=METRIC_NAMES,
        changes=changes,
        changed_by=changes[0].record.actor if changes else "",
        waiting=_waiting(request, key, rollout),
    )


def read_report(services: Services, rollout: Rollout) -> tuple[Report | None, str]:
    """Read a report, at most some seconds old; or say why there is none."""

    def read() -> Report:
        snapshot = services.live_model.get()
        return report_rollout(
            services.settings.event_log,
            services.control_store,
            rollout.key,
            at_ms=services.now_ms(),
            catalogue=None if snapshot is None else snapshot.items.ids,
        )

    key = (rollout.key, rollout.revision)
    try:
        return services.console.reports.get(key, services.now_ms(), read), ""
    except EndcapError as error:
        return None, error.message


def _pictures(
    services: Services, key: str, report: Report | None, metric: str
) -> tuple[Figure | None, Figure | None]:
    if report is None or not report.comparisons:
        return None, None
    plotter = services.console.plotter
    rows = lift_history(services, key, report, metric)
    if len({row[0] for row in rows}) < LEAST_MOMENTS:
        return draw_lift(plotter, report, metric), draw_metrics(plotter, report)
    with services.control_store.transaction() as transaction:
        epochs = transaction.list_epochs(key)
    shares = {one.epoch: msgspec.json.decode(one.body, type=Rollout).share for one in epochs}
    lift = draw_known_lift(plotter, report, metric, rows, shares)
    return lift, draw_metrics(plotter, report)


def lift_history(services: Services, key: str, report: Report, metric: str) -> list[list[Any]]:
    """Read the lift as it was known from time to time; the last row is of now."""
    with services.control_store.transaction() as transaction:
        points = transaction.lift_points.list_of(key, metric)
    return known_lift(report, metric, points)


def _ramp(rollout: Rollout, report: Report | None, now_ms: int) -> RampState | None:
    epochs = [one for one in report.epochs if one.epoch == rollout.epoch] if report else []
    return ramp_state(
        rollout,
        opened_at_ms=epochs[0].opened_at_ms if epochs else None,
        n_units=sum(arm.units for arm in epochs[0].arms) if epochs else 0,
        now_ms=now_ms,
    )


def _placements(request: ConsoleRequest, key: str) -> list[str]:
    found = list_documents(request, "placement", Placement)
    return [one.id for one in found if rollout_key_of(one) == key]


def _history(services: Services, key: str, rollout: Rollout) -> list[Told]:
    found = read_page(
        services.control_store, before=None, limit=SHOWN_CHANGES, kind="rollout", document_id=key
    )
    return [
        Told(
            record,
            summarize(record, services.console.key_names.of),
            record.revision == rollout.revision,
        )
        for record in found.changes
    ]


def _waiting(request: ConsoleRequest, key: str, rollout: Rollout) -> list[Waiting]:
    me = principal_of(request).key_id
    with services_of(request).control_store.transaction() as transaction:
        proposals = list_proposals(transaction, key)
    before = msgspec.to_builtins(rollout)
    return [
        Waiting(
            one,
            diff_documents(before, msgspec.to_builtins(one.document)),
            one.proposed_by == me,
        )
        for one in proposals
        if one.state == "open"
    ]
