"""Changes of the control plane: read, check, write and audit in one transaction, then take effect.

Blocking, for a thread. Whatever a change needs to know, it reads inside its transaction, so two
workers that change the same document at the same time cannot lose one of the changes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from models.errors import NotFoundError
from models.pseudonym import Pseudonymiser
from service.control.approval import ApprovalError, Proposal, close, find_open
from service.control.consent import Consent
from service.control.current import CurrentConfiguration, decode_document
from service.control.documents import Document, DocumentKind
from service.control.precondition import Precondition
from service.control.references import follow_change
from service.control.stored_rollouts import compile_stored
from service.control.writing import Change, Changed, DocumentWriter, not_found, read_document
from service.rollouts.compiled import CompiledRollout
from service.rollouts.definition import Rollout
from service.stores.control import ControlStore, ControlTransaction


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
        self._writer = DocumentWriter(pseudonymiser, now_ms)
        self._now_ms = now_ms

    def find(self, kind: DocumentKind, document_id: str) -> Document:
        """Read one document; raise `NotFoundError` that names the known ones."""
        with self._store.transaction() as transaction:
            current = read_document(transaction, kind, document_id)
            if current is None:
                raise not_found(transaction, kind, document_id)
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
            changed = self._writer.replace(transaction, change, document)
        self._current.take_effect()
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
            changed = self._writer.merge(transaction, change, patch, create=create)
        self._current.take_effect()
        return changed

    def try_patch(
        self, change: Change, patch: dict[str, Any]
    ) -> tuple[CompiledRollout, CompiledRollout]:
        """Return a rollout as it is and as a patch would leave it; nothing is kept. As `patch`."""
        found = self._try(change, lambda it: self._writer.merge(it, change, patch, create=False))
        if found is None:
            raise NotFoundError(f"rollout {change.id!r} is not configured any more")
        return found

    def try_put(
        self, change: Change, document: Document
    ) -> tuple[CompiledRollout, CompiledRollout] | None:
        """Return a rollout as it is and as `put` would leave it; nothing if there is none yet."""
        return self._try(change, lambda it: self._writer.replace(it, change, document))

    def try_undo(
        self, change: Change, revision: int
    ) -> tuple[CompiledRollout, CompiledRollout] | None:
        """Return a rollout as it is and as `undo` would leave it; nothing if it is deleted."""
        return self._try(change, lambda it: self._writer.restore(it, change, revision))

    def kill(self, change: Change, *, killed: bool) -> Changed:
        """Put everyone into control at once, or end that; audited, and never waiting for anyone."""
        with self._store.transaction() as transaction:
            current = read_document(transaction, change.kind, change.id)
            if not isinstance(current, Rollout):
                raise not_found(transaction, change.kind, change.id)
            if current.approval and not killed:
                raise ApprovalError(
                    f"rollout {change.id!r} wants approval, and a kill ends only so; "
                    'propose it with PATCH {"killed": false}'
                )
            change = dataclasses.replace(change, is_approved=True)
            document = msgspec.structs.replace(current, killed=killed)
            changed = self._writer.write(transaction, change, current, document)
        self._current.take_effect()
        return changed

    def undo(self, change: Change, revision: int) -> Changed:
        """Write a document again as it was at a revision; a rollout that is killed stays killed.

        Raises
        ------
        ConflictError
            If it did not exist then, or what it leaned on is gone or taken.
        """
        with self._store.transaction() as transaction:
            changed = self._writer.restore(transaction, change, revision)
        self._current.take_effect()
        return changed

    def delete(self, change: Change) -> None:
        """Delete a document; its audit trail and epochs stay."""
        with self._store.transaction() as transaction:
            current = read_document(transaction, change.kind, change.id)
            if current is None:
                raise not_found(transaction, change.kind, change.id)
            change.precondition.check(change.subject, current)
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
            self._writer.audit(transaction, change, current, None)
            transaction.delete_document(change.kind, change.id)
        self._current.take_effect()

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
                current = read_document(transaction, "rollout", key)
                self._writer.write(transaction, change, current, proposal.document)
            state: Literal["approved", "rejected"] = "approved" if approves else "rejected"
            closed = close(transaction, proposal, state, actor=actor, at_ms=self._now_ms())
        self._current.take_effect()
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
