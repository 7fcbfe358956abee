"""Model versions: listed, promoted, rolled back by whoever trains."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from litestar import Controller, get, post
from litestar.params import QueryParameter
from msgspec import Meta

from models.manifest import Manifest
from service.middleware.access import needs, principal_of
from service.routes.documents import AnyRequest, PathId, problems
from service.services import Services, services_of
from service.stores.audit import AuditEntry


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    """All model versions, newest first."""

    live: Annotated[str | None, Meta(description="the version that answers")]
    versions: list[Manifest]


class Live(msgspec.Struct, frozen=True, kw_only=True):
    """Which version answers."""

    live: str


class ModelController(Controller):
    """Model versions."""

    path = "/v1/models"
    tags: ClassVar[list[str]] = ["models"]  # type: ignore[misc]  # Litestar's own is of the instance
    opt = needs("trainer")

    @get(
        operation_id="listModels",
        summary="List model versions",
        responses=problems(503),
        sync_to_thread=True,
    )
    def list_all(self, request: AnyRequest) -> Versions:
        """List the manifests of all versions, newest first, and which one is live."""
        artifacts = services_of(request).artifacts
        return Versions(live=artifacts.live_version(), versions=artifacts.versions())

    @get(
        "/{version:str}",
        operation_id="getModel",
        summary="Read a manifest",
        responses=problems(404, 503),
        sync_to_thread=True,
    )
    def read(self, request: AnyRequest, version: PathId) -> Manifest:
        """Read what a version was made from, how, and how good it is."""
        return services_of(request).artifacts.manifest(version)

    @post(
        "/{version:str}/promote",
        operation_id="promoteModel",
        summary="Make a version live",
        responses=problems(404, 409, 503),
        status_code=200,
        sync_to_thread=True,
    )
    def promote(
        self,
        request: AnyRequest,
        version: PathId,
        *,
        force: Annotated[
            bool,
            QueryParameter(required=False, description="also a refused one; it is recorded"),
        ] = False,
    ) -> Live:
        """Move the live pointer in one step; every worker follows within seconds.

        A version that the gate refused goes live only with `force`.
        """
        return promote_version(request, version, is_forced=force)

    @post(
        "/rollback",
        operation_id="rollbackModel",
        summary="Go back to the version that was live before",
        responses=problems(409, 503),
        status_code=200,
        sync_to_thread=True,
    )
    def rollback(self, request: AnyRequest) -> Live:
        """Move the live pointer back by one."""
        return roll_back(request)


def promote_version(request: AnyRequest, version: str, *, is_forced: bool) -> Live:
    """Make a version live for whoever asks.

    Raises
    ------
    GateError
        If the gate refused it, unless `is_forced`.
    """
    services = services_of(request)
    before = services.artifacts.live_version()
    services.artifacts.promote(version, is_forced=is_forced)
    _moved(services, principal_of(request).key_id, before, version)
    return Live(live=version)


def roll_back(request: AnyRequest) -> Live:
    """Make the version live that was live before.

    Raises
    ------
    ConflictError
        If none was.
    """
    services = services_of(request)
    before = services.artifacts.live_version()
    version = services.artifacts.rollback()
    _moved(services, principal_of(request).key_id, before, version)
    return Live(live=version)


def _moved(services: Services, actor: str, before: str | None, after: str) -> None:
    """Record the move, and follow it at once in this worker."""
    with services.control_store.transaction() as transaction:
        transaction.audit.append(
            AuditEntry(
                at_ms=services.now_ms(),
                actor=actor,
                kind="model",
                id="live",
                before=msgspec.json.encode(before).decode(),
                after=msgspec.json.encode(after).decode(),
            )
        )
    services.live_model.refresh()
