"""Rollouts: which share of the units is treated, and how."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from litestar import Controller, Response, delete, get, patch, post, put
from litestar.params import JSONBody, QueryParameter

from service.control.consent import Consent
from service.control.stale import stale_rollouts
from service.middleware.access import needs
from service.rollouts.definition import Rollout
from service.routes.documents import (
    AnyRequest,
    IfMatch,
    IfNoneMatch,
    Patch,
    PathId,
    check_path_id,
    created,
    delete_document,
    get_document,
    kill_rollout,
    list_documents,
    or_proposal,
    patch_document,
    problems,
    put_document,
    take_consent,
)
from service.routes.reach import check_reach, check_replaced_reach
from service.services import services_of

Stale = Annotated[
    bool,
    QueryParameter(description="only those at 0 or 100 % (or off) that did not change for 30 days"),
]
Confirm = Annotated[
    bool, QueryParameter(description="treats more than five times the share of now")
]
NewPhase = Annotated[bool, QueryParameter(description="deals the units of a running rollout anew")]


class Rollouts(msgspec.Struct, frozen=True, kw_only=True):
    """All rollouts, by key."""

    rollouts: list[Rollout]


class RolloutController(Controller):
    """Rollouts: which share of the units is treated, and how."""

    path = "/v1/rollouts"
    tags: ClassVar[list[str]] = ["rollouts"]  # type: ignore[misc]  # Litestar's own is of the instance
    opt = needs("merchandiser")

    @get(
        operation_id="listRollouts",
        summary="List rollouts",
        responses=problems(),
        sync_to_thread=True,
    )
    def list_all(self, request: AnyRequest, stale: Stale = False) -> Rollouts:
        """List all rollouts, by key; or those that could be taken out of the code."""
        rollouts = list_documents(request, "rollout", Rollout)
        if stale:
            services = services_of(request)
            rollouts = stale_rollouts(services.control_store, rollouts, services.now_ms())
        return Rollouts(rollouts=rollouts)

    @get(
        "/{rollout_key:str}",
        operation_id="getRollout",
        summary="Read a rollout",
        responses=problems(404),
        sync_to_thread=True,
    )
    def read(self, request: AnyRequest, rollout_key: PathId) -> Response[Rollout]:
        """Read one as it is stored; the ETag is its revision."""
        return get_document(request, "rollout", rollout_key, Rollout)

    @put(
        "/{rollout_key:str}",
        operation_id="putRollout",
        summary="Create or replace a rollout",
        responses=created(Rollout) | problems(409, 412, 413),
        sync_to_thread=True,
    )
    def replace(
        self,
        request: AnyRequest,
        rollout_key: PathId,
        data: JSONBody[Rollout],
        if_match: IfMatch = None,
        if_none_match: IfNoneMatch = None,
        *,
        confirm: Confirm = False,
        new_phase: NewPhase = False,
    ) -> Response[Rollout]:
        """Create (201) or replace (200). What the body leaves out takes its default.

        409 as for a change with PATCH, unless the query says `confirm` or `new_phase`.
        """
        consent = Consent(new_phase=new_phase, confirm=confirm)
        check_replaced_reach(request, check_path_id(rollout_key, "rollout key"), data, consent)
        return put_document(
            request,
            "rollout",
            rollout_key,
            data,
            if_match=if_match,
            if_none_match=if_none_match,
            consent=consent,
        )

    @patch(
        "/{rollout_key:str}",
        operation_id="patchRollout",
        summary="Change a rollout",
        responses=or_proposal(problems(404, 409, 412, 413)),
        sync_to_thread=True,
    )
    def change(
        self,
        request: AnyRequest,
        rollout_key: PathId,
        data: JSONBody[Patch],
        if_match: IfMatch = None,
    ) -> Response[Rollout]:
        """Change some fields with a JSON Merge Patch (RFC 7396); an audience with `op` is whole.

        `{"share": 0.25}` moves the share. A change of who is treated how opens a new epoch; a new
        name, or another forced unit, does not. 409 if more than five times the share of now would
        be treated, unless the patch says `"confirm": true`; 409 if another salt or unit would deal
        the units of a running rollout anew, unless it says `"new_phase": true`.
        """
        patch, consent = take_consent(data)
        check_reach(request, check_path_id(rollout_key, "rollout key"), patch, consent)
        return patch_document(
            request, "rollout", rollout_key, patch, Rollout, if_match=if_match, consent=consent
        )

    @post(
        "/{rollout_key:str}/kill",
        operation_id="killRollout",
        summary="Put everyone into control at once",
        status_code=200,
        responses=problems(404),
        sync_to_thread=True,
    )
    def kill(self, request: AnyRequest, rollout_key: PathId) -> Response[Rollout]:
        """Put everyone into control, in every worker within a second; no body, no confirmation.

        It stays so, whatever else is changed, until `/resume`. Killing it again changes nothing.
        """
        return kill_rollout(request, rollout_key, killed=True)

    @post(
        "/{rollout_key:str}/resume",
        operation_id="resumeRollout",
        summary="Go on after a kill",
        status_code=200,
        responses=problems(404),
        sync_to_thread=True,
    )
    def resume(self, request: AnyRequest, rollout_key: PathId) -> Response[Rollout]:
        """End a kill: share, variants and arms are what they were."""
        return kill_rollout(request, rollout_key, killed=False)

    @delete(
        "/{rollout_key:str}",
        operation_id="deleteRollout",
        summary="Delete a rollout",
        responses=problems(404, 409, 412),
        sync_to_thread=True,
    )
    def remove(self, request: AnyRequest, rollout_key: PathId, if_match: IfMatch = None) -> None:
        """Delete it; its history stays in the audit trail."""
        delete_document(request, "rollout", rollout_key, if_match=if_match)
