"""Changes of rollouts by the console: the same rules as the API's, and what to say when refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from service.console.documents_diff import Difference, diff_documents
from service.control.consent import Consent
from service.control.plane import ControlPlane
from service.control.precondition import Precondition
from service.control.trail import AuditRecord, document_as_of, read_page
from service.control.writing import Change, Changed
from service.middleware.access import principal_of
from service.middleware.json_body import broken_rule
from service.rollouts.definition import Rollout
from service.routes.console.frame import ConsoleRequest
from service.routes.reach import check_reach
from service.services import services_of

MAX_RECORDS = 200


@dataclass(frozen=True, slots=True)
class Conflict:
    """What others did to a rollout since somebody opened its page."""

    records: list[AuditRecord]
    """The newest first."""
    differences: list[Difference]
    current: Rollout


def find_rollout(request: ConsoleRequest, key: str) -> Rollout:
    """Read a rollout as it is stored; `NotFoundError` if there is none."""
    found = services_of(request).control.find("rollout", key)
    assert isinstance(found, Rollout)
    return found


def rollout_at(request: ConsoleRequest, key: str, revision: int) -> Rollout:
    """Read a rollout as it was after a change."""
    with services_of(request).control_store.transaction() as transaction:
        found = document_as_of(transaction, "rollout", key, revision)
    assert isinstance(found, Rollout)
    return found


def control_of(request: ConsoleRequest) -> ControlPlane:
    """Return the control plane."""
    return services_of(request).control


def change_of(
    request: ConsoleRequest,
    key: str,
    *,
    revision: int | None = None,
    consent: Consent | None = None,
) -> Change:
    """Describe a change by who signed in, of the revision that they saw."""
    seen = None if revision is None else frozenset({revision})
    return Change(
        "rollout",
        key,
        principal_of(request).key_id,
        Precondition(revisions=seen, must_exist=revision is not None),
        consent or Consent(),
    )


def patch_rollout(
    request: ConsoleRequest, key: str, patch: dict[str, Any], revision: int, consent: Consent
) -> Changed:
    """Merge a patch into the revision that somebody saw, under the rules of the API.

    Raises
    ------
    EndcapError
        If it is refused; a `RevisionError` goes first, for whoever sees the new state may want
        something else.
    """
    change = change_of(request, key, revision=revision, consent=consent)
    change.precondition.check(change.subject, find_rollout(request, key))
    check_reach(request, key, patch, consent)
    try:
        return control_of(request).patch(change, patch)
    except msgspec.ValidationError as error:
        raise broken_rule(patch, error) from error


def find_conflict(request: ConsoleRequest, key: str, revision: int) -> Conflict:
    """Say who changed what since a revision."""
    store = services_of(request).control_store
    page = read_page(store, before=None, limit=MAX_RECORDS, kind="rollout", document_id=key)
    records = [record for record in page.changes if record.revision > revision]
    current = find_rollout(request, key)
    before = records[-1].before if records else None
    return Conflict(records, diff_documents(before, msgspec.to_builtins(current)), current)
