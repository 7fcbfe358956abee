"""Reads the layers with who has how much of each."""

from __future__ import annotations

from service.console.layer_form import LayerView
from service.control.current import decode_document
from service.control.slots import use_of_slots
from service.rollouts.layer import Layer
from service.routes.console.frame import ConsoleRequest
from service.services import services_of


def layer_views(request: ConsoleRequest) -> dict[str, LayerView]:
    """Read every layer, by key."""
    services = services_of(request)
    now_ms = services.now_ms()
    with services.control_store.transaction() as transaction:
        found = [decode_document(stored) for stored in transaction.list_documents("layer")]
        return {
            layer.key: LayerView(layer, tuple(use_of_slots(transaction, layer, now_ms)))
            for layer in found
            if isinstance(layer, Layer)
        }
