"""Rules: what merchandisers want beside, or against, the ranking."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from litestar import Controller, Response, delete, get, patch, put
from litestar.params import JSONBody
from msgspec import Meta

from service.control.rule import Rule
from service.control.rule_conflicts import RuleWarning, find_conflicts
from service.middleware.access import needs
from service.routes.documents import (
    AnyRequest,
    IfMatch,
    IfNoneMatch,
    Patch,
    PathId,
    created,
    delete_document,
    get_document,
    list_documents,
    patch_document,
    problems,
    put_document,
)
from service.services import services_of


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """All rules, by id."""

    rules: list[Rule]
    warnings: Annotated[
        list[RuleWarning], Meta(description="pairs of rules that work against each other")
    ]


class RuleController(Controller):
    """Rules: what merchandisers want beside, or against, the ranking."""

    path = "/v1/rules"
    tags: ClassVar[list[str]] = ["rules"]  # type: ignore[misc]  # Litestar's own is of the instance
    opt = needs("merchandiser")

    @get(
        operation_id="listRules",
        summary="List rules",
        responses=problems(),
        sync_to_thread=True,
    )
    def list_all(self, request: AnyRequest) -> Rules:
        """List all rules, by id, and which of them work against each other."""
        rules = list_documents(request, "rule", Rule)
        return Rules(rules=rules, warnings=find_conflicts(rules, services_of(request).now_ms()))

    @get(
        "/{rule_id:str}",
        operation_id="getRule",
        summary="Read a rule",
        responses=problems(404),
        sync_to_thread=True,
    )
    def read(self, request: AnyRequest, rule_id: PathId) -> Response[Rule]:
        """Read one as it is stored; the ETag is its revision."""
        return get_document(request, "rule", rule_id, Rule)

    @put(
        "/{rule_id:str}",
        operation_id="putRule",
        summary="Create or replace a rule",
        responses=created(Rule) | problems(412, 413),
        sync_to_thread=True,
    )
    def replace(
        self,
        request: AnyRequest,
        rule_id: PathId,
        data: JSONBody[Rule],
        if_match: IfMatch = None,
        if_none_match: IfNoneMatch = None,
    ) -> Response[Rule]:
        """Create (201) or replace (200). What the body leaves out takes its default."""
        return put_document(
            request, "rule", rule_id, data, if_match=if_match, if_none_match=if_none_match
        )

    @patch(
        "/{rule_id:str}",
        operation_id="patchRule",
        summary="Change a rule",
        responses=problems(404, 412, 413),
        sync_to_thread=True,
    )
    def change(
        self,
        request: AnyRequest,
        rule_id: PathId,
        data: JSONBody[Patch],
        if_match: IfMatch = None,
    ) -> Response[Rule]:
        """Change some fields with a JSON Merge Patch (RFC 7396); an audience with `op` is whole.

        What the patch leaves out stays; null takes a field back to its default.
        """
        return patch_document(request, "rule", rule_id, data, Rule, if_match=if_match)

    @delete(
        "/{rule_id:str}",
        operation_id="deleteRule",
        summary="Delete a rule",
        responses=problems(404, 412),
        sync_to_thread=True,
    )
    def remove(self, request: AnyRequest, rule_id: PathId, if_match: IfMatch = None) -> None:
        """Delete it; its history stays in the audit trail."""
        delete_document(request, "rule", rule_id, if_match=if_match)
