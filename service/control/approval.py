"""Four eyes: a change of a rollout that asks for approval waits for a second key.

A proposal is kept in the audit trail itself: a row when it is made, one when it is decided. So who
proposed and who approved is sealed like every change, and there is no second place to keep it.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from models.errors import ConflictError, NotFoundError
from models.ids import list_known
from service.rollouts.definition import Rollout
from service.stores.audit import AuditEntry
from service.stores.control import ControlTransaction

KIND = "proposal"
MAX_LISTED = 1_000


class ApprovalError(ConflictError):
    """A change needs a second key, or was decided already."""

    code = "approval_needed"


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A change that waits for another key, or waited."""

    id: Annotated[str, Meta(description="for `…/proposals/{id}/approve` and `/reject`")]
    rollout: str
    state: Literal["open", "approved", "rejected"]
    proposed_by: str
    base_revision: Annotated[
        int, Meta(description="it is applied to this revision of the rollout, and to no other")
    ]
    document: Annotated[Rollout, Meta(description="the rollout as it would be")]
    note: str | None = None
    decided_by: str | None = None


def propose(
    transaction: ControlTransaction,
    current: Rollout,
    document: Rollout,
    *,
    actor: str,
    note: str | None,
    at_ms: int,
) -> Proposal:
    """Write down what a change would do, in place of doing it."""
    proposal = Proposal(
        id=str(transaction.audit.last_revision_given() + 1),
        rollout=current.key,
        state="open",
        proposed_by=actor,
        base_revision=current.revision,
        document=msgspec.structs.replace(document, revision=0),
        note=note,
    )
    _record(transaction, None, proposal, actor, at_ms)
    return proposal


def close(
    transaction: ControlTransaction,
    proposal: Proposal,
    state: Literal["approved", "rejected"],
    *,
    actor: str,
    at_ms: int,
) -> Proposal:
    """Write down how a proposal was decided."""
    closed = msgspec.structs.replace(proposal, state=state, decided_by=actor)
    _record(transaction, proposal, closed, actor, at_ms)
    return closed


def find_open(transaction: ControlTransaction, rollout_key: str, proposal_id: str) -> Proposal:
    """Read a proposal that is not decided yet.

    Raises
    ------
    NotFoundError
        If the rollout has no such proposal.
    ApprovalError
        If it was decided.
    """
    known = {one.id: one for one in list_proposals(transaction, rollout_key)}
    found = known.get(proposal_id)
    if found is None:
        waiting = [one.id for one in known.values() if one.state == "open"]
        raise NotFoundError(
            f"rollout {rollout_key!r} has no proposal {proposal_id!r}; "
            f"{list_known(waiting)}; see GET /v1/rollouts/{rollout_key}/proposals"
        )
    if found.state != "open":
        raise ApprovalError(
            f"proposal {proposal_id} was {found.state} by {found.decided_by}; propose it again"
        )
    return found


def list_proposals(transaction: ControlTransaction, rollout_key: str) -> list[Proposal]:
    """Read the newest proposals of a rollout in their last state, the newest first."""
    found: dict[str, Proposal] = {}
    for row in transaction.audit.page(before=None, limit=MAX_LISTED, kind=KIND):
        if row.entry.id not in found and row.entry.after is not None:
            found[row.entry.id] = msgspec.json.decode(row.entry.after, type=Proposal)
    mine = [one for one in found.values() if one.rollout == rollout_key]
    return sorted(mine, key=lambda one: -int(one.id))


def _record(
    transaction: ControlTransaction,
    before: Proposal | None,
    after: Proposal,
    actor: str,
    at_ms: int,
) -> None:
    transaction.audit.append(
        AuditEntry(
            at_ms=at_ms,
            actor=actor,
            kind=KIND,
            id=after.id,
            before=None if before is None else msgspec.json.encode(before).decode(),
            after=msgspec.json.encode(after).decode(),
        )
    )
