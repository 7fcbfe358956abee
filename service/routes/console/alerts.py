"""What wants attention: broken ratios, guardrails, old models, drift, decided rollouts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import msgspec

from models.errors import EndcapError
from service.control.approval import KIND, Proposal
from service.control.stale import stale_rollouts
from service.control.trail import read_page
from service.reports.gather import report_rollout
from service.reports.ramp_runner import ACTOR
from service.rollouts.definition import Rollout
from service.routes.console.links import rollout_path
from service.services import Services

DAY_MS = 86_400_000
OLD_MODEL_MS = 7 * DAY_MS
MAX_REPORTS = 30
"""Rollouts whose ratio is looked at, the last changed first: a report takes its time."""
MAX_CHANGES = 500


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that is not as it should be, and where to look."""

    tone: Literal["bad", "warn", "info"]
    text: str
    path: str = ""
    action: str = "Look"


def model_alerts(services: Services) -> Iterator[Alert]:
    """Look at the live model."""
    version = services.artifacts.live_version()
    if version is None:
        yield Alert("warn", "No model is live: slots show what is popular or static. Train one.")
        return
    manifest = services.artifacts.manifest(version)
    age_ms = services.now_ms() - manifest.created_at_ms
    if age_ms > OLD_MODEL_MS:
        yield Alert(
            "warn",
            f"The model was trained {age_ms // DAY_MS} days ago; train again.",
        )
    if manifest.gate.verdict == "forced":
        yield Alert("warn", f"The live model was forced past the gate: {manifest.gate.reason}.")
    if manifest.drift is not None:
        for warning in manifest.drift.warnings:
            yield Alert("warn", f"The data have drifted: {warning}.")


def rollout_alerts(services: Services) -> Iterator[Alert]:
    """Look at the rollouts, as they are and as they go."""
    rollouts = [compiled.definition for compiled in services.current.get().rollouts.values()]
    rolled_back = _rolled_back(services)
    for rollout in sorted(rollouts, key=lambda one: -one.revision)[:MAX_REPORTS]:
        path = rollout_path(rollout.key)
        if rollout.killed and rollout.key in rolled_back:
            yield Alert("bad", f"{rollout.key} was {rolled_back[rollout.key]}", path)
        if not rollout.killed and rollout.enabled and 0 < rollout.share < 1:
            yield from _ratio_alert(services, rollout, path)
    for rollout in stale_rollouts(services.control_store, rollouts, services.now_ms()):
        yield Alert(
            "info",
            f"{rollout.key} treats all or nobody and has not changed for 30 days: it has decided.",
            rollout_path(rollout.key),
            "Clean up",
        )
    yield from _proposal_alerts(services)


def _ratio_alert(services: Services, rollout: Rollout, path: str) -> Iterator[Alert]:
    try:
        report = report_rollout(
            services.settings.event_log,
            services.control_store,
            rollout.key,
            at_ms=services.now_ms(),
        )
    except EndcapError as error:
        yield Alert("warn", f"The report of {rollout.key} cannot be read: {error.message}", path)
        return
    if report.verdict.code == "do_not_act":
        yield Alert("bad", f"{rollout.key}: {report.verdict.sentence}", path, "Find out why")


def _rolled_back(services: Services) -> dict[str, str]:
    """Find why the ramps that were rolled back lately were, by rollout."""
    page = read_page(services.control_store, before=None, limit=MAX_CHANGES, kind="rollout")
    found: dict[str, str] = {}
    for change in page.changes:
        if change.actor == ACTOR and change.note and change.note.startswith("rolled back"):
            found.setdefault(change.id, change.note)
    return found


def _proposal_alerts(services: Services) -> Iterator[Alert]:
    page = read_page(services.control_store, before=None, limit=MAX_CHANGES, kind=KIND)
    seen: set[str] = set()
    for change in page.changes:
        if change.id in seen or change.after is None:
            continue
        seen.add(change.id)
        proposal = msgspec.convert(change.after, Proposal)
        if proposal.state == "open":
            yield Alert(
                "info",
                f"A change of {proposal.rollout} waits for a second pair of eyes.",
                rollout_path(proposal.rollout),
                "Decide",
            )
