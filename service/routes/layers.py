"""Layers, whose rollouts share no unit, and the global holdout, which no rollout reaches."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from litestar import Controller, Response, delete, get, patch, put
from litestar.params import JSONBody
from msgspec import Meta

from service.control.slots import SlotUse, use_of_slots
from service.middleware.access import needs
from service.rollouts.layer import HOLDOUT_ID, Holdout, Layer
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


class Layers(msgspec.Struct, frozen=True, kw_only=True):
    """All layers, by key."""

    layers: list[Layer]


class LayerSlotUse(msgspec.Struct, frozen=True, kw_only=True):
    """Who has which slots; a slot that is not listed is free."""

    n_slots: int
    slots: Annotated[list[SlotUse], Meta(description="in order")]


class LayerController(Controller):
    """Layers: rollouts in one layer never share a unit."""

    path = "/v1/layers"
    tags: ClassVar[list[str]] = ["rollouts"]  # type: ignore[misc]  # Litestar's own is of the instance
    opt = needs("merchandiser")

    @get(
        operation_id="listLayers",
        summary="List layers",
        responses=problems(),
        sync_to_thread=True,
    )
    def list_all(self, request: AnyRequest) -> Layers:
        """List all layers, by key."""
        return Layers(layers=list_documents(request, "layer", Layer))

    @get(
        "/{layer_key:str}",
        operation_id="getLayer",
        summary="Read a layer",
        responses=problems(404),
        sync_to_thread=True,
    )
    def read(self, request: AnyRequest, layer_key: PathId) -> Response[Layer]:
        """Read one as it is stored; the ETag is its revision."""
        return get_document(request, "layer", layer_key, Layer)

    @get(
        "/{layer_key:str}/slots",
        operation_id="getLayerSlots",
        summary="See who owns the slots of a layer",
        responses=problems(404),
        sync_to_thread=True,
    )
    def slots(self, request: AnyRequest, layer_key: PathId) -> LayerSlotUse:
        """Say which rollout owns which slots, and which slots rest until when."""
        services = services_of(request)
        layer = services.control.find("layer", layer_key)
        assert isinstance(layer, Layer)
        with services.control_store.transaction() as transaction:
            use = use_of_slots(transaction, layer, services.now_ms())
        return LayerSlotUse(n_slots=layer.n_slots, slots=use)

    @put(
        "/{layer_key:str}",
        operation_id="putLayer",
        summary="Create or replace a layer",
        responses=created(Layer) | problems(409, 412, 413),
        sync_to_thread=True,
    )
    def replace(
        self,
        request: AnyRequest,
        layer_key: PathId,
        data: JSONBody[Layer],
        if_match: IfMatch = None,
        if_none_match: IfNoneMatch = None,
    ) -> Response[Layer]:
        """Create (201) or replace (200). 409 if units would move while a rollout owns slots."""
        return put_document(
            request, "layer", layer_key, data, if_match=if_match, if_none_match=if_none_match
        )

    @patch(
        "/{layer_key:str}",
        operation_id="patchLayer",
        summary="Change a layer",
        responses=problems(404, 409, 412, 413),
        sync_to_thread=True,
    )
    def change(
        self,
        request: AnyRequest,
        layer_key: PathId,
        data: JSONBody[Patch],
        if_match: IfMatch = None,
    ) -> Response[Layer]:
        """Change some fields with a JSON Merge Patch (RFC 7396)."""
        return patch_document(request, "layer", layer_key, data, Layer, if_match=if_match)

    @delete(
        "/{layer_key:str}",
        operation_id="deleteLayer",
        summary="Delete a layer",
        responses=problems(404, 409, 412),
        sync_to_thread=True,
    )
    def remove(self, request: AnyRequest, layer_key: PathId, if_match: IfMatch = None) -> None:
        """Delete it; 409 while a rollout owns slots of it."""
        delete_document(request, "layer", layer_key, if_match=if_match)


class HoldoutController(Controller):
    """The global holdout: a share of all units that no rollout treats."""

    path = "/v1/holdout"
    tags: ClassVar[list[str]] = ["rollouts"]  # type: ignore[misc]  # as above
    opt = needs("merchandiser")

    @get(
        operation_id="getHoldout",
        summary="Read the global holdout",
        responses=problems(404),
        sync_to_thread=True,
    )
    def read(self, request: AnyRequest) -> Response[Holdout]:
        """Read it; 404 until one is set."""
        return get_document(request, "holdout", HOLDOUT_ID, Holdout)

    @put(
        operation_id="putHoldout",
        summary="Set the global holdout",
        responses=created(Holdout) | problems(409, 412, 413),
        sync_to_thread=True,
    )
    def replace(
        self, request: AnyRequest, data: JSONBody[Holdout], if_match: IfMatch = None
    ) -> Response[Holdout]:
        """Set share and salt. A larger share keeps everyone who was in; 409 for another salt."""
        return put_document(
            request, "holdout", HOLDOUT_ID, data, if_match=if_match, if_none_match=None
        )

    @delete(
        operation_id="deleteHoldout",
        summary="End the global holdout",
        responses=problems(404, 412),
        sync_to_thread=True,
    )
    def remove(self, request: AnyRequest, if_match: IfMatch = None) -> None:
        """End it: rollouts reach everyone again."""
        delete_document(request, "holdout", HOLDOUT_ID, if_match=if_match)
