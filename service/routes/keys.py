"""Keys: made, listed and revoked by admins."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from litestar import Controller, delete, get, post
from litestar.params import JSONBody
from msgspec import Meta

from service.control.keys import KeyInfo, NewKey, Scope, create_key, list_keys, revoke_key
from service.middleware.access import needs, principal_of
from service.routes.documents import AnyRequest, PathId, problems
from service.services import services_of


class KeyRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which key to make."""

    scope: Scope
    name: Annotated[
        str,
        Meta(min_length=1, max_length=100, pattern="^[^\\x00]*$", description="for people"),
    ]


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """All keys, oldest first."""

    keys: list[KeyInfo]


class KeyController(Controller):
    """Keys of the HTTP interface."""

    path = "/v1/keys"
    tags: ClassVar[list[str]] = ["keys"]  # type: ignore[misc]  # Litestar's own is of the instance
    opt = needs("admin")

    @post(
        operation_id="createKey",
        summary="Make a key",
        responses=problems(413),
        sync_to_thread=True,
    )
    def create(self, request: AnyRequest, data: JSONBody[KeyRequest]) -> NewKey:
        """Make a key. The secret is in this answer and nowhere else."""
        services = services_of(request)
        made = create_key(
            services.control_store,
            scope=data.scope,
            name=data.name,
            actor=principal_of(request).key_id,
            now_ms=services.now_ms(),
        )
        services.current.take_effect()
        return made

    @get(
        operation_id="listKeys",
        summary="List keys",
        responses=problems(),
        sync_to_thread=True,
    )
    def list_all(self, request: AnyRequest) -> Keys:
        """List all keys, revoked ones too, without their secrets."""
        return Keys(keys=list_keys(services_of(request).control_store))

    @delete(
        "/{key_id:str}",
        operation_id="revokeKey",
        summary="Revoke a key",
        responses=problems(404),
        status_code=200,
        sync_to_thread=True,
    )
    def revoke(self, request: AnyRequest, key_id: PathId) -> KeyInfo:
        """Revoke a key for good, in every worker within a second."""
        services = services_of(request)
        revoked = revoke_key(
            services.control_store,
            key_id,
            actor=principal_of(request).key_id,
            now_ms=services.now_ms(),
        )
        services.current.take_effect()
        return revoked
