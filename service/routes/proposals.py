"""Proposals: changes of rollouts with four eyes, decided by a second key."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from litestar import Controller, Response, get, post

from service.control.approval import Proposal, list_proposals
from service.control.writing import check_ever_known
from service.middleware.access import needs, principal_of
from service.routes.documents import AnyRequest, PathId, check_path_id, problems
from service.services import services_of


class Proposals(msgspec.Struct, frozen=True, kw_only=True):
    """The proposals of a rollout, the newest first."""

    proposals: list[Proposal]


class ProposalController(Controller):
    """Proposals of one rollout."""

    path = "/v1/rollouts/{rollout_key:str}/proposals"
    tags: ClassVar[list[str]] = ["rollouts"]  # type: ignore[misc]  # Litestar's own is of the instance
    opt = needs("merchandiser")

    @get(
        operation_id="listProposals",
        summary="List the proposals of a rollout",
        responses=problems(404),
        sync_to_thread=True,
    )
    def list_all(self, request: AnyRequest, rollout_key: PathId) -> Proposals:
        """List them, open and decided, the newest first."""
        check_path_id(rollout_key, "rollout key")
        with services_of(request).control_store.transaction() as transaction:
            check_ever_known(transaction, "rollout", rollout_key)
            return Proposals(proposals=list_proposals(transaction, rollout_key))

    @post(
        "/{proposal_id:str}/approve",
        operation_id="approveProposal",
        summary="Approve a proposal",
        status_code=200,
        responses=problems(404, 409, 412),
        sync_to_thread=True,
    )
    def approve(
        self, request: AnyRequest, rollout_key: PathId, proposal_id: PathId
    ) -> Response[Proposal]:
        """Make the change. 409 for the key that proposed it, 412 if the rollout has changed."""
        return _decide(request, rollout_key, proposal_id, approves=True)

    @post(
        "/{proposal_id:str}/reject",
        operation_id="rejectProposal",
        summary="Reject a proposal",
        status_code=200,
        responses=problems(404, 409),
        sync_to_thread=True,
    )
    def reject(
        self, request: AnyRequest, rollout_key: PathId, proposal_id: PathId
    ) -> Response[Proposal]:
        """Close it without a change; who proposed it may take it back so."""
        return _decide(request, rollout_key, proposal_id, approves=False)


def _decide(
    request: AnyRequest, rollout_key: str, proposal_id: str, *, approves: bool
) -> Response[Proposal]:
    check_path_id(rollout_key, "rollout key")
    check_path_id(proposal_id, "proposal id")
    actor = principal_of(request).key_id
    decided = services_of(request).control.decide(
        rollout_key, proposal_id, actor=actor, approves=approves
    )
    return Response(decided)
