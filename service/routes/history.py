"""The audit trail over HTTP: all of it, the history of a document, and the way back."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Response, get, post
from litestar.params import JSONBody, QueryParameter

from service.control.documents import Banner, DocumentKind, Placement
from service.control.rule import Rule
from service.control.trail import AuditPage, read_page
from service.control.writing import check_ever_known
from service.middleware.access import needs
from service.rollouts.definition import Rollout
from service.routes.documents import (
    AnyRequest,
    PathId,
    Undo,
    check_path_id,
    problems,
    undo_document,
)
from service.routes.reach import check_undone_reach
from service.services import services_of

Before = Annotated[
    int | None,
    QueryParameter(ge=1, le=2**53, description="only revisions below this one; see `next_before`"),
]
Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="how many at most")]
_UNDONE = "Write it again as it was after the change `revision` of its history, as a new change."


@get(
    "/v1/audit",
    operation_id="getAudit",
    summary="Read the audit trail",
    tags=["audit"],
    opt=needs("merchandiser"),
    responses=problems(),
    sync_to_thread=True,
)
def read_audit(
    request: AnyRequest,
    kind: Annotated[
        str | None, QueryParameter(description="only of this kind: `rollout`, `banner`, `key`, …")
    ] = None,
    document_id: Annotated[
        str | None, QueryParameter(name="id", description="only of the document with this id")
    ] = None,
    before: Before = None,
    limit: Limit = 100,
) -> AuditPage:
    """Read every change of every document, key and live model, the newest first.

    Each row's `hash` seals the rows up to it: keep one elsewhere, and `endcap audit verify` with
    this page proves later that nothing before it was altered.
    """
    store = services_of(request).control_store
    return read_page(store, before=before, limit=limit, kind=kind, document_id=document_id)


def _history(
    request: AnyRequest, kind: DocumentKind, document_id: str, before: int | None, limit: int
) -> AuditPage:
    check_path_id(document_id, f"{kind} id")
    store = services_of(request).control_store
    found = read_page(store, before=before, limit=limit, kind=kind, document_id=document_id)
    if not found.changes:
        with store.transaction() as transaction:
            check_ever_known(transaction, kind, document_id)
    return found


def _history_options(name: str) -> dict[str, Any]:
    return {
        "operation_id": f"get{name.capitalize()}History",
        "summary": f"Read the history of a {name}",
        "description": "Read its changes, the newest first; a deleted one's too.",
        "tags": [f"{name}s"],
        "opt": needs("merchandiser"),
        "responses": problems(404),
        "sync_to_thread": True,
    }


def _undo_options(name: str) -> dict[str, Any]:
    return {
        "operation_id": f"undo{name.capitalize()}",
        "summary": f"Take a {name} back to a revision",
        "description": _UNDONE,
        "status_code": 200,
        "tags": [f"{name}s"],
        "opt": needs("merchandiser"),
        "responses": problems(409, 413),
        "sync_to_thread": True,
    }


@get("/v1/rollouts/{rollout_key:str}/history", **_history_options("rollout"))
def rollout_history(
    request: AnyRequest, rollout_key: PathId, before: Before = None, limit: Limit = 100
) -> AuditPage:
    """Read the changes of a rollout."""
    return _history(request, "rollout", rollout_key, before, limit)


@post("/v1/rollouts/{rollout_key:str}/undo", **_undo_options("rollout"))
def undo_rollout(
    request: AnyRequest, rollout_key: PathId, data: JSONBody[Undo]
) -> Response[Rollout]:
    """Take a rollout back; one that is killed stays killed."""
    check_undone_reach(request, check_path_id(rollout_key, "rollout key"), data)
    return undo_document(request, "rollout", rollout_key, data, Rollout)


@get("/v1/placements/{placement_id:str}/history", **_history_options("placement"))
def placement_history(
    request: AnyRequest, placement_id: PathId, before: Before = None, limit: Limit = 100
) -> AuditPage:
    """Read the changes of a placement."""
    return _history(request, "placement", placement_id, before, limit)


@post("/v1/placements/{placement_id:str}/undo", **_undo_options("placement"))
def undo_placement(
    request: AnyRequest, placement_id: PathId, data: JSONBody[Undo]
) -> Response[Placement]:
    """Take a placement back."""
    return undo_document(request, "placement", placement_id, data, Placement)


@get("/v1/banners/{banner_id:str}/history", **_history_options("banner"))
def banner_history(
    request: AnyRequest, banner_id: PathId, before: Before = None, limit: Limit = 100
) -> AuditPage:
    """Read the changes of a banner."""
    return _history(request, "banner", banner_id, before, limit)


@post("/v1/banners/{banner_id:str}/undo", **_undo_options("banner"))
def undo_banner(request: AnyRequest, banner_id: PathId, data: JSONBody[Undo]) -> Response[Banner]:
    """Take a banner back."""
    return undo_document(request, "banner", banner_id, data, Banner)


@get("/v1/rules/{rule_id:str}/history", **_history_options("rule"))
def rule_history(
    request: AnyRequest, rule_id: PathId, before: Before = None, limit: Limit = 100
) -> AuditPage:
    """Read the changes of a rule."""
    return _history(request, "rule", rule_id, before, limit)


@post("/v1/rules/{rule_id:str}/undo", **_undo_options("rule"))
def undo_rule(request: AnyRequest, rule_id: PathId, data: JSONBody[Undo]) -> Response[Rule]:
    """Take a rule back."""
    return undo_document(request, "rule", rule_id, data, Rule)


HISTORY_ROUTES = [
    read_audit,
    rollout_history,
    undo_rollout,
    placement_history,
    undo_placement,
    banner_history,
    undo_banner,
    rule_history,
    undo_rule,
]
