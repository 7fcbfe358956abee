"""The audit trail for people: pages of it, the state of a document back then, and its proof."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from models.errors import ConflictError
from service.control.current import decode_document
from service.control.documents import Document, DocumentKind
from service.stores.audit import FIRST_HASH, AuditRow, chain_hash
from service.stores.control import ControlStore, ControlTransaction
from service.stores.control_rows import StoredDocument


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One change."""

    revision: int
    at: datetime
    actor: Annotated[str, Meta(description="id of the key, or who else made the change")]
    kind: str
    id: str
    note: Annotated[str | None, Meta(description="why, if the change itself does not say")]
    before: Annotated[Any, Meta(description="null if it was made")]
    after: Annotated[Any, Meta(description="null if it was deleted")]
    hash: Annotated[str, Meta(description="seals this row and all before it")]


class AuditPage(msgspec.Struct, frozen=True, kw_only=True):
    """Changes, the newest first."""

    changes: list[AuditRecord]
    next_before: Annotated[
        int | None, Meta(description="`before` of the next page; null on the last one")
    ]


class BrokenRow(msgspec.Struct, frozen=True, kw_only=True):
    """The first row that cannot be as it was written."""

    revision: int
    reason: str


class AuditCheck(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the trail is whole, and its newest hash, to be kept elsewhere."""

    is_whole: bool
    n_rows: int
    revision: int
    hash: str
    broken: BrokenRow | None


def read_page(
    store: ControlStore,
    *,
    before: int | None,
    limit: int,
    kind: str | None = None,
    document_id: str | None = None,
) -> AuditPage:
    """Read the newest changes with revisions below `before`."""
    with store.transaction() as transaction:
        rows = transaction.audit.page(before=before, limit=limit + 1, kind=kind, id_=document_id)
    return AuditPage(
        changes=[_record(row) for row in rows[:limit]],
        next_before=rows[limit - 1].revision if len(rows) > limit else None,
    )


def document_as_of(
    transaction: ControlTransaction, kind: DocumentKind, document_id: str, revision: int
) -> Document:
    """Read a document as it was right after a revision of the control plane.

    Raises
    ------
    ConflictError
        If there was no such revision yet, or the document did not exist then, or this version of
        Endcap cannot read what was stored.
    """
    newest = transaction.audit.last_revision_given()
    if revision > newest:
        raise ConflictError(
            f"revision {revision} is not reached yet, the newest is {newest}; "
            f"the history of {kind} {document_id!r} lists those to go back to"
        )
    rows = transaction.audit.page(before=revision + 1, limit=1, kind=kind, id_=document_id)
    after = rows[0].entry.after if rows else None
    if after is None:
        raise ConflictError(
            f"{kind} {document_id!r} did not exist at revision {revision}; "
            "its history lists the revisions, and DELETE removes it"
        )
    try:
        return decode_document(StoredDocument(kind, document_id, after, rows[0].revision))
    except msgspec.MsgspecError as error:
        raise ConflictError(
            f"{kind} {document_id!r} of revision {revision} does not fit any more: {error}; "
            "write it anew"
        ) from error


def was_deleted_killed(transaction: ControlTransaction, rollout_key: str) -> bool:
    """Say whether a rollout that is deleted was killed when it went."""
    rows = transaction.audit.page(before=None, limit=1, kind="rollout", id_=rollout_key)
    return bool(rows) and _content(rows[0].entry.before).get("killed") is True


def check_trail(store: ControlStore) -> AuditCheck:
    """Walk the whole trail and hold every document to the row that wrote it."""
    with store.transaction() as transaction:
        broken: BrokenRow | None = None
        n_rows, revision, sealed = 0, 0, FIRST_HASH
        wrote: dict[tuple[str, str], AuditRow] = {}
        for row in transaction.audit.all_rows():
            broken = broken or _break_in(row, revision, sealed)
            n_rows, revision, sealed = n_rows + 1, row.revision, row.hash
            wrote[row.entry.kind, row.entry.id] = row
        given = transaction.audit.last_revision_given()
        if broken is None and given > revision:
            broken = BrokenRow(revision=revision + 1, reason=f"the rows up to {given} are gone")
        broken = broken or _odd_document(transaction.all_documents(), wrote)
    return AuditCheck(
        is_whole=broken is None, n_rows=n_rows, revision=revision, hash=sealed, broken=broken
    )


def _break_in(row: AuditRow, previous: int, sealed: str) -> BrokenRow | None:
    if row.revision != previous + 1:
        return BrokenRow(revision=previous + 1, reason="the row is gone")
    if row.hash != chain_hash(sealed, row.revision, row.entry):
        return BrokenRow(
            revision=row.revision,
            reason="its hash does not follow from the row before and its content",
        )
    return None


def _odd_document(
    documents: list[StoredDocument], wrote: dict[tuple[str, str], AuditRow]
) -> BrokenRow | None:
    for stored in sorted(documents, key=lambda one: one.revision):
        row = wrote.get((stored.kind, stored.id))
        if (
            row is None
            or row.revision != stored.revision
            or _content(row.entry.after) != _content(stored.body)
        ):
            return BrokenRow(
                revision=stored.revision,
                reason=f"{stored.kind} {stored.id!r} is not what the trail says was written",
            )
    return None


def _content(body: str | None) -> dict[str, Any]:
    """Read a document without its revision, which the trail knows only once the row is there."""
    fields: dict[str, Any] = {} if body is None else msgspec.json.decode(body, type=dict[str, Any])
    fields.pop("revision", None)
    return fields


def _record(row: AuditRow) -> AuditRecord:
    entry = row.entry
    return AuditRecord(
        revision=row.revision,
        at=datetime.fromtimestamp(entry.at_ms / 1000, UTC),
        actor=entry.actor,
        kind=entry.kind,
        id=entry.id,
        note=entry.note,
        before=None if entry.before is None else msgspec.json.decode(entry.before),
        after=None if entry.after is None else msgspec.json.decode(entry.after),
        hash=row.hash,
    )
