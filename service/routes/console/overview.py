"""The overview: what is happening, and whether anything wants attention."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from litestar import Controller, Response, get

from models.plural import plural
from service.console.documents_diff import diff_documents
from service.console.figure import Figure, make_figure, share_bar
from service.console.specs import number_axis
from service.console.tables import Table
from service.console.traffic import Minute, Traffic, by_minute, count_pages
from service.control.keys import Principal
from service.control.trail import AuditRecord, read_page
from service.middleware.access import principal_of
from service.routes.console.alerts import Alert, model_alerts, rollout_alerts
from service.routes.console.downloads import csv_file
from service.routes.console.frame import ConsoleRequest, Page, page
from service.routes.console.gate import section
from service.routes.console.links import document_path
from service.services import Services, services_of
from service.stores.event_ledger import read_counters
from service.stores.tier_counts import NEWEST, TierCount, count_tiers

HOUR_MS = 3_600_000
MINUTE_MS = 60_000
TIERS = ("personal", "segment", "popular", "static")
MAX_CHANGES = 12
ALERTS_WAIT_S = 1.0
_PROPOSED = re.compile(r"proposal \d+ by (\w+)")
"""What the control plane notes of a change that a second key approved."""
_DECIDED = {"open": "waits for another key", "approved": "approved", "rejected": "rejected"}
_COLUMNS = ["Minute (UTC)", "Pages", "Errors", "p50 ms", "p99 ms"]


@dataclass(frozen=True, slots=True)
class Change:
    """A line of what was changed lately."""

    record: AuditRecord
    summary: str
    name: str
    path: str


class OverviewPages(Controller):
    """The first page."""

    opt = section("overview")

    @get(sync_to_thread=True)
    def show(self, request: ConsoleRequest) -> Page:
        """Show the state of the shop."""
        services, me = services_of(request), principal_of(request)
        now_ms = services.now_ms()
        tiers = _tiers(services, now_ms)
        counters = read_counters(services.settings.event_log)
        return page(
            request,
            "overview.html",
            title="Overview",
            traffic=_traffic(services),
            tiers=tiers,
            newest=NEWEST,
            bar=share_bar([(one.tier, one.n) for one in tiers.values()]),
            counters={name: counters.get(name, 0) for name in _COUNTERS},
            picture=_picture(services),
            model=_model(services),
            deadline_ms=services.settings.deadline_ms,
            alerts=_alerts(services, me),
            changes=_changes(services, now_ms) if me.may("merchandiser") else None,
        )

    @get("/traffic.csv", sync_to_thread=True)
    def traffic_csv(self, request: ConsoleRequest) -> Response[str]:
        """Give the minutes of the last hour as a file."""
        rows = [_row(minute) for minute in _minutes(services_of(request))]
        return csv_file("traffic", Table(_COLUMNS, rows))


_COUNTERS = (
    *("received", "accepted", "duplicate", "rejected"),
    *("served", "assigned", "stored", "dropped"),
)


def _traffic(services: Services) -> Traffic:
    counts = count_pages(services.metrics.samples(), services.now_ms())
    return services.console.traffic.take(counts)


def _tiers(services: Services, now_ms: int) -> dict[str, TierCount]:
    found = {one.tier: one for one in count_tiers(services.settings.event_log, now_ms - HOUR_MS)}
    return {tier: found.get(tier, TierCount(tier, 0, 0, 0)) for tier in TIERS}


def _minutes(services: Services) -> list[Minute]:
    since_ms = services.now_ms() - HOUR_MS
    with services.control_store.transaction() as transaction:
        return by_minute(transaction.service_minutes.list_since(since_ms))


def _picture(services: Services) -> Figure:
    minutes = _minutes(services)
    # By the minute, so that a picture is drawn once a minute and not each time somebody looks.
    until_ms = (services.now_ms() // MINUTE_MS + 1) * MINUTE_MS
    x = {
        "field": "at",
        "type": "temporal",
        "timeUnit": "utcyearmonthdatehoursminutes",
        "title": None,
        "axis": {"format": "%H:%M"},
        "scale": {"type": "utc", "domain": [until_ms - HOUR_MS, until_ms]},
    }
    y = {
        "field": "pages",
        "type": "quantitative",
        "axis": number_axis(),
        "stack": None,
    }
    spec = {
        "data": {"values": [{"at": minute.at_ms, "pages": minute.n} for minute in minutes]},
        "mark": {"type": "bar", "clip": True, "cornerRadiusEnd": 0},
        "encoding": {"x": x, "y": y},
    }
    n = sum(minute.n for minute in minutes)
    return make_figure(
        services.console.plotter,
        spec,
        title="Pages a minute",
        note="in the last hour, all workers, UTC",
        description=f"{plural(n, 'page')} in {plural(len(minutes), 'minute')}.",
        columns=_COLUMNS,
        rows=map(_row, minutes),
        height=200,
    )


def _row(minute: Minute) -> list[object]:
    def short(ms: float | None) -> float | None:
        return None if ms is None else round(ms, 2)

    return [
        _clock(minute.at_ms),
        minute.n,
        minute.n_errors,
        short(minute.p50_ms),
        short(minute.p99_ms),
    ]


def _clock(at_ms: int) -> str:
    minutes = at_ms // 60_000
    return f"{minutes // 60 % 24:02d}:{minutes % 60:02d}"


def _model(services: Services) -> object:
    version = services.artifacts.live_version()
    return None if version is None else services.artifacts.manifest(version)


def _alerts(services: Services, me: Principal) -> list[Alert] | None:
    """Find what wants attention; nothing yet if that takes long, as the first report may."""
    now_ms = services.now_ms()

    def find() -> list[Alert]:
        found = list(model_alerts(services))
        if me.may("merchandiser"):
            found = [*rollout_alerts(services), *found]
        return sorted(found, key=lambda one: ("bad", "warn", "info").index(one.tone))

    return services.console.alerts.get_soon(me.scope, now_ms, find, wait_s=ALERTS_WAIT_S)


def _changes(services: Services, now_ms: int) -> list[Change]:
    records = read_page(services.control_store, before=None, limit=MAX_CHANGES).changes
    since_ms = now_ms - 24 * HOUR_MS
    return [
        Change(
            record, summarize(record, services.console.key_names.of), _name(record), path_of(record)
        )
        for record in records
        if record.at.timestamp() * 1000 >= since_ms
    ]


def _name(record: AuditRecord) -> str:
    """Name what was changed as people do: a key by its name."""
    document = record.after or record.before
    named = document.get("name") if record.kind == "key" and isinstance(document, dict) else None
    return str(named or record.id)


def summarize(record: AuditRecord, who: Callable[[str], str]) -> str:
    """Say in a few words what a change changed; `who` names keys."""
    if record.kind == "proposal" and isinstance(record.after, dict):
        return _DECIDED.get(str(record.after.get("state")), "")
    proposed = _PROPOSED.fullmatch(record.note or "")
    if proposed is not None:
        return f"{_what_changed(record)}, proposed by {who(proposed[1])}"
    return record.note or _what_changed(record)


def _what_changed(record: AuditRecord) -> str:
    if record.before is None:
        return "made"
    if record.after is None:
        return "deleted"
    differences = diff_documents(record.before, record.after)
    told = [
        f"{one.path} {_told(one.before)} → {_told(one.after)}"
        for one in differences
        if one.path != "epoch"
    ]
    shown = ", ".join(told[:2])
    return f"{shown} and {len(told) - 2} more" if len(told) > 2 else shown or "written again"


def path_of(record: AuditRecord) -> str:
    """Return where a changed document is shown, if it is still there."""
    return document_path(record.kind, record.id) if record.after is not None else ""


def _told(value: str) -> str:
    return (value if len(value) <= 40 else f"{value[:39]}…") or "none"
