"""How a document is changed inside a transaction: check, fit, epoch, approval, audit, write."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from models.errors import InputError, NotFoundError
from models.ids import list_known
from models.pseudonym import Pseudonymiser
from service.control.approval import Proposal, propose
from service.control.consent import NO_CONSENT, Consent
from service.control.current import decode_document
from service.control.documents import DOCUMENT_TYPES, ID_FIELDS, Document, DocumentKind, Placement
from service.control.fit import check_fit, rollout_key_of
from service.control.forced import pseudonymise_forced
from service.control.merge_patch import merge_patch
from service.control.page_ids import check_new_id
from service.control.precondition import Precondition
from service.control.references import follow_change
from service.control.stored_rollouts import in_epoch
from service.control.trail import document_as_of, was_deleted_killed
from service.rollouts.bucketing import UnitKind
from service.rollouts.definition import Rollout
from service.rollouts.short_times import convert
from service.stores.audit import AuditEntry
from service.stores.control import ControlTransaction
from service.stores.control_rows import StoredDocument

PATHS: dict[DocumentKind, str] = {
    "placement": "/v1/placements",
    "banner": "/v1/banners",
    "rule": "/v1/rules",
    "rollout": "/v1/rollouts",
    "item": "/v1/items",
    "layer": "/v1/layers",
    "holdout": "/v1/holdout",
    "segment": "/v1/segments",
}


@dataclass(frozen=True, slots=True)
class Changed:
    """The outcome of a change."""

    document: Document
    is_new: bool
    proposal: Proposal | None = None
    """What waits for a second key, if nothing was changed for that reason."""


@dataclass(frozen=True, slots=True)
class Change:
    """Which document, by whom, expecting what, and why."""

    kind: DocumentKind
    id: str
    actor: str
    precondition: Precondition
    consent: Consent = NO_CONSENT
    note: str | None = None
    is_approved: bool = False
    """Whether it needs no second key: it has one, or is none's doing."""

    @property
    def subject(self) -> str:
        """The document, as messages name it."""
        return f"{self.kind} {self.id!r}"


class DocumentWriter:
    """Changes documents in the transactions that it is given."""

    def __init__(self, pseudonymiser: Pseudonymiser, now_ms: Callable[[], int]) -> None:
        self._pseudonymiser = pseudonymiser
        self._now_ms = now_ms

    def replace(
        self, transaction: ControlTransaction, change: Change, document: Document
    ) -> Changed:
        _check_body_id(change, document)
        if isinstance(document, Rollout):
            forced = pseudonymise_forced(document.forced, document.unit, self._pseudonymiser)
            document = msgspec.structs.replace(document, forced=forced)
        current = read_document(transaction, change.kind, change.id)
        if current is None:
            check_new_id(change.kind, change.id)
        if isinstance(document, Rollout) and isinstance(current, Rollout):
            # Who replaces a killed rollout may not know; only `kill` and PATCH end that.
            document = msgspec.structs.replace(document, killed=current.killed)
        return self.write(transaction, change, current, document)

    def restore(self, transaction: ControlTransaction, change: Change, revision: int) -> Changed:
        current = read_document(transaction, change.kind, change.id)
        document = document_as_of(transaction, change.kind, change.id, revision)
        document = _with(document, revision=0)
        if isinstance(document, Rollout):
            killed = (
                current.killed
                if isinstance(current, Rollout)
                else was_deleted_killed(transaction, change.id)
            )
            document = msgspec.structs.replace(document, killed=killed)
        noted = dataclasses.replace(change, note=f"undo to revision {revision}")
        return self.write(transaction, noted, current, document)

    def merge(
        self,
        transaction: ControlTransaction,
        change: Change,
        patch: dict[str, Any],
        *,
        create: bool,
    ) -> Changed:
        current = read_document(transaction, change.kind, change.id)
        if current is None:
            if not create:
                raise not_found(transaction, change.kind, change.id)
            check_new_id(change.kind, change.id)
        before = {} if current is None else msgspec.to_builtins(current)
        merged = merge_patch(_without_replaced(before, patch), self._without_raw_ids(before, patch))
        document = convert(merged, DOCUMENT_TYPES[change.kind])
        _check_body_id(change, document)
        return self.write(transaction, change, current, document)

    def write(
        self,
        transaction: ControlTransaction,
        change: Change,
        current: Document | None,
        document: Document,
    ) -> Changed:
        change.precondition.check(change.subject, current)
        if document.revision and current is not None:
            Precondition(revisions=frozenset({document.revision})).check(change.subject, current)
        document = _with(document, **{ID_FIELDS[change.kind]: change.id})
        _check_fit(transaction, document)
        opens = False
        if isinstance(document, Rollout):
            document, opens = in_epoch(transaction, current, document, change.consent)
        if current is not None and _with(document, revision=current.revision) == current:
            return Changed(current, is_new=False)
        at_ms = self._now_ms()
        if (
            isinstance(current, Rollout)
            and isinstance(document, Rollout)
            and current.approval
            and not change.is_approved
        ):
            proposal = propose(
                transaction, current, document, actor=change.actor, note=change.note, at_ms=at_ms
            )
            return Changed(current, is_new=False, proposal=proposal)
        follow_change(
            transaction, change.kind, change.id, before=current, after=document, now_ms=at_ms
        )
        revision = self.audit(transaction, change, current, document)
        document = _with(document, revision=revision)
        body = msgspec.json.encode(document).decode()
        transaction.write_document(StoredDocument(change.kind, change.id, body, revision), at_ms)
        if opens and isinstance(document, Rollout):
            transaction.append_epoch(change.id, document.epoch, revision, at_ms, body)
        return Changed(document, is_new=current is None)

    def audit(
        self,
        transaction: ControlTransaction,
        change: Change,
        before: Document | None,
        after: Document | None,
    ) -> int:
        return transaction.audit.append(
            AuditEntry(
                at_ms=self._now_ms(),
                actor=change.actor,
                kind=change.kind,
                id=change.id,
                before=None if before is None else msgspec.json.encode(before).decode(),
                after=None if after is None else msgspec.json.encode(after).decode(),
                note=change.note,
            )
        )

    def _without_raw_ids(self, before: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
        """Pseudonymise the forced units of a patch; a unit can so be removed by its raw id too."""
        forced = patch.get("forced")
        if not isinstance(forced, dict):
            return patch
        unit: UnitKind = (
            "anonymous_id" if patch.get("unit", before.get("unit")) == "anonymous_id" else "user_id"
        )
        return {**patch, "forced": pseudonymise_forced(forced, unit, self._pseudonymiser)}


def _without_replaced(before: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """Leave out an audience that a patch names anew, by its `op`.

    Merged into another one it would keep bounds that nobody asked for, or break a rule of fields
    that nobody sent.
    """
    audience = patch.get("audience")
    if isinstance(audience, dict) and "op" in audience:
        return {name: value for name, value in before.items() if name != "audience"}
    return before


def _check_fit(transaction: ControlTransaction, document: Document) -> None:
    """Hold a placement and its rollout together, whichever of the two is being changed."""
    if isinstance(document, Placement):
        rollout = read_document(transaction, "rollout", rollout_key_of(document))
        if isinstance(rollout, Rollout):
            check_fit([document], rollout)
    elif isinstance(document, Rollout):
        stored = map(decode_document, transaction.list_documents("placement"))
        check_fit((each for each in stored if isinstance(each, Placement)), document)


def read_document(
    transaction: ControlTransaction, kind: DocumentKind, document_id: str
) -> Document | None:
    stored = transaction.find_document(kind, document_id)
    return None if stored is None else decode_document(stored)


def _with(document: Document, **values: Any) -> Document:
    return msgspec.structs.replace(document, **values)


def _check_body_id(change: Change, document: Document) -> None:
    field = ID_FIELDS[change.kind]
    in_body = getattr(document, field)
    if in_body not in ("", change.id):
        raise InputError(
            f"{field} {in_body!r} in the body is not {change.id!r} of the path; leave it out"
        )


def check_ever_known(transaction: ControlTransaction, kind: DocumentKind, document_id: str) -> None:
    """Raise `NotFoundError` if there is no such document and the audit trail knows of none."""
    if transaction.find_document(kind, document_id) is None and not transaction.audit.page(
        before=None, limit=1, kind=kind, id_=document_id
    ):
        raise not_found(transaction, kind, document_id)


def not_found(
    transaction: ControlTransaction, kind: DocumentKind, document_id: str
) -> NotFoundError:
    known = list_known(stored.id for stored in transaction.list_documents(kind))
    return NotFoundError(
        f"{kind} {document_id!r} is not configured; {known}; add it with PUT {PATHS[kind]}/…"
    )
