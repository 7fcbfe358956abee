"""Changes of the control plane: read, check, write and audit in one transaction, then take effect.

Blocking, for a thread. Whatever a change needs to know, it reads inside its transaction, so two
workers that change the same document at the same time cannot lose one of the changes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from models.errors import InputError, NotFoundError
from models.ids import list_known
from models.pseudonym import Pseudonymiser
from service.control.approval import ApprovalError, Proposal, close, find_open, propose
from service.control.consent import NO_CONSENT, Consent
from service.control.current import CurrentConfiguration, decode_document
from service.control.documents import DOCUMENT_TYPES, ID_FIELDS, Document, DocumentKind, Placement
from service.control.fit import check_fit, rollout_key_of
from service.control.forced import pseudonymise_forced
from service.control.merge_patch import merge_patch
from service.control.precondition import Precondition
from service.control.references import follow_change
from service.control.stored_rollouts import compile_stored, in_epoch
from service.control.trail import document_as_of
from service.rollouts.bucketing import UnitKind
from service.rollouts.compiled import CompiledRollout
from service.rollouts.definition import Rollout
from service.stores.audit import AuditEntry
from service.stores.control import ControlStore, ControlTransaction, StoredDocument

PATHS: dict[DocumentKind, str] = {
    "placement": "/v1/placements",
    "banner": "/v1/banners",
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


class ControlPlane:
    """Applies changes to documents."""

    def __init__(
        self,
        store: ControlStore,
        current: CurrentConfiguration,
        pseudonymiser: Pseudonymiser,
        now_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._current = current
        self._pseudonymiser = pseudonymiser
        self._now_ms = now_ms

    def find(self, kind: DocumentKind, document_id: str) -> Document:
        """Read one document; raise `NotFoundError` that names the known ones."""
        with self._store.transaction() as transaction:
            current = _read(transaction, kind, document_id)
            if current is None:
                raise _not_found(transaction, kind, document_id)
            return current

    def list(self, kind: DocumentKind) -> list[Document]:
        """Read all documents of a kind, by id."""
        with self._store.transaction() as transaction:
            return [decode_document(stored) for stored in transaction.list_documents(kind)]

    def put(self, change: Change, document: Document) -> Changed:
        """Create or replace a document.

        Raises
        ------
        RevisionError
            If the precondition, or the revision inside the document, is not the current one.
        """
        with self._store.transaction() as transaction:
            changed = self._replace(transaction, change, document)
        self._current.refresh()
        return changed

    def patch(self, change: Change, patch: dict[str, Any], *, create: bool = False) -> Changed:
        """Merge a JSON Merge Patch (RFC 7396) into a document; `create` makes a missing one.

        Raises
        ------
        NotFoundError
            If it does not exist and is not to be created.
        msgspec.ValidationError
            If the result breaks a rule.
        RevisionError
            As `put`.
        """
        with self._store.transaction() as transaction:
            changed = self._merge(transaction, change, patch, create=create)
        self._current.refresh()
        return changed

    def try_patch(
        self, change: Change, patch: dict[str, Any]
    ) -> tuple[CompiledRollout, CompiledRollout]:
        """Return a rollout as it is and as a patch would leave it; nothing is kept. As `patch`."""
        found = self._try(change, lambda it: self._merge(it, change, patch, create=False))
        if found is None:
            raise NotFoundError(f"rollout {change.id!r} is not configured any more")
        return found

    def try_put(
        self, change: Change, document: Document
    ) -> tuple[CompiledRollout, CompiledRollout] | None:
        """Return a rollout as it is and as `put` would leave it; nothing if there is none yet."""
        return self._try(change, lambda it: self._replace(it, change, document))

    def try_undo(
        self, change: Change, revision: int
    ) -> tuple[CompiledRollout, CompiledRollout] | None:
        """Return a rollout as it is and as `undo` would leave it; nothing if it is deleted."""
        return self._try(change, lambda it: self._restore(it, change, revision))

    def kill(self, change: Change, *, killed: bool) -> Changed:
        """Put everyone into control at once, or end that; audited, and never waiting for anyone."""
        with self._store.transaction() as transaction:
            current = _read(transaction, change.kind, change.id)
            if not isinstance(current, Rollout):
                raise _not_found(transaction, change.kind, change.id)
            if current.approval and not killed:
                raise ApprovalError(
                    f"rollout {change.id!r} wants approval, and a kill ends only so; "
                    'propose it with PATCH {"killed": false}'
                )
            change = dataclasses.replace(change, is_approved=True)
            document = msgspec.structs.replace(current, killed=killed)
            changed = self._write(transaction, change, current, document)
        self._current.refresh()
        return changed

    def undo(self, change: Change, revision: int) -> Changed:
        """Write a document again as it was at a revision; a rollout that is killed stays killed.

        Raises
        ------
        ConflictError
            If it did not exist then, or what it leaned on is gone or taken.
        """
        with self._store.transaction() as transaction:
            changed = self._restore(transaction, change, revision)
        self._current.refresh()
        return changed

    def delete(self, change: Change) -> None:
        """Delete a document; its audit trail and epochs stay."""
        with self._store.transaction() as transaction:
            current = _read(transaction, change.kind, change.id)
            if current is None:
                raise _not_found(transaction, change.kind, change.id)
            change.precondition.check(_name(change), current)
            if isinstance(current, Rollout) and current.approval:
                raise ApprovalError(
                    f"rollout {change.id!r} wants approval and cannot be deleted; "
                    'propose PATCH {"approval": false} first'
                )
            follow_change(
                transaction,
                change.kind,
                change.id,
                before=current,
                after=None,
                now_ms=self._now_ms(),
            )
            self._audit(transaction, change, current, None)
            transaction.delete_document(change.kind, change.id)
        self._current.refresh()

    def decide(self, key: str, proposal_id: str, *, actor: str, approves: bool) -> Proposal:
        """Make a proposed change, or reject it.

        Raises
        ------
        NotFoundError, ApprovalError
            If there is no such open proposal, or the same key proposed and approves it.
        RevisionError
            If the rollout is not at the revision that the proposal was made for.
        """
        with self._store.transaction() as transaction:
            proposal = find_open(transaction, key, proposal_id)
            if approves:
                if actor == proposal.proposed_by:
                    raise ApprovalError(
                        f"key {actor} proposed {proposal_id} itself; let another key approve it"
                    )
                expected = Precondition(frozenset({proposal.base_revision}), must_exist=True)
                yes = Consent(new_phase=True, confirm=True)
                note = f"proposal {proposal_id} by {proposal.proposed_by}"
                change = Change("rollout", key, actor, expected, yes, note, is_approved=True)
                current = _read(transaction, "rollout", key)
                self._write(transaction, change, current, proposal.document)
            state: Literal["approved", "rejected"] = "approved" if approves else "rejected"
            closed = close(transaction, proposal, state, actor=actor, at_ms=self._now_ms())
        self._current.refresh()
        return closed

    def _try(
        self, change: Change, act: Callable[[ControlTransaction], Changed]
    ) -> tuple[CompiledRollout, CompiledRollout] | None:
        with self._store.transaction() as transaction:
            before = compile_stored(transaction)
            act(transaction)
            after = compile_stored(transaction)
            transaction.give_up()
        return (before[change.id], after[change.id]) if change.id in before else None

    def _replace(
        self, transaction: ControlTransaction, change: Change, document: Document
    ) -> Changed:
        _check_body_id(change, document)
        if isinstance(document, Rollout):
            forced = pseudonymise_forced(document.forced, document.unit, self._pseudonymiser)
            document = msgspec.structs.replace(document, forced=forced)
        current = _read(transaction, change.kind, change.id)
        if isinstance(document, Rollout) and isinstance(current, Rollout):
            # Who replaces a killed rollout may not know; only `kill` and PATCH end that.
            document = msgspec.structs.replace(document, killed=current.killed)
        return self._write(transaction, change, current, document)

    def _restore(self, transaction: ControlTransaction, change: Change, revision: int) -> Changed:
        current = _read(transaction, change.kind, change.id)
        document = document_as_of(transaction, change.kind, change.id, revision)
        document = _with(document, revision=0)
        if isinstance(document, Rollout) and isinstance(current, Rollout):
            document = msgspec.structs.replace(document, killed=current.killed)
        noted = dataclasses.replace(change, note=f"undo to revision {revision}")
        return self._write(transaction, noted, current, document)

    def _merge(
        self,
        transaction: ControlTransaction,
        change: Change,
        patch: dict[str, Any],
        *,
        create: bool,
    ) -> Changed:
        current = _read(transaction, change.kind, change.id)
        if current is None and not create:
            raise _not_found(transaction, change.kind, change.id)
        before = {} if current is None else msgspec.to_builtins(current)
        merged = merge_patch(before, self._without_raw_ids(before, patch))
        document = msgspec.convert(merged, DOCUMENT_TYPES[change.kind])
        _check_body_id(change, document)
        return self._write(transaction, change, current, document)

    def _write(
        self,
        transaction: ControlTransaction,
        change: Change,
        current: Document | None,
        document: Document,
    ) -> Changed:
        change.precondition.check(_name(change), current)
        if document.revision and current is not None:
            Precondition(revisions=frozenset({document.revision})).check(_name(change), current)
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
        revision = self._audit(transaction, change, current, document)
        document = _with(document, revision=revision)
        body = msgspec.json.encode(document).decode()
        transaction.write_document(StoredDocument(change.kind, change.id, body, revision), at_ms)
        if opens and isinstance(document, Rollout):
            transaction.append_epoch(change.id, document.epoch, revision, at_ms, body)
        return Changed(document, is_new=current is None)

    def _audit(
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


def _check_fit(transaction: ControlTransaction, document: Document) -> None:
    """Hold a placement and its rollout together, whichever of the two is being changed."""
    if isinstance(document, Placement):
        rollout = _read(transaction, "rollout", rollout_key_of(document))
        if isinstance(rollout, Rollout):
            check_fit([document], rollout)
    elif isinstance(document, Rollout):
        stored = map(decode_document, transaction.list_documents("placement"))
        check_fit((each for each in stored if isinstance(each, Placement)), document)


def _read(transaction: ControlTransaction, kind: DocumentKind, document_id: str) -> Document | None:
    stored = transaction.find_document(kind, document_id)
    return None if stored is None else decode_document(stored)


def _with(document: Document, **values: Any) -> Document:
    return msgspec.structs.replace(document, **values)


def _name(change: Change) -> str:
    return f"{change.kind} {change.id!r}"


def _check_body_id(change: Change, document: Document) -> None:
    field = ID_FIELDS[change.kind]
    in_body = getattr(document, field)
    if in_body not in ("", change.id):
        raise InputError(
            f"{field} {in_body!r} in the body is not {change.id!r} of the path; leave it out"
        )


def _not_found(
    transaction: ControlTransaction, kind: DocumentKind, document_id: str
) -> NotFoundError:
    known = list_known(stored.id for stored in transaction.list_documents(kind))
    return NotFoundError(
        f"{kind} {document_id!r} is not configured; {known}; add it with PUT {PATHS[kind]}/…"
    )
