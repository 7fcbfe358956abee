"""Layers: who has how much of each, and the form of one."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Controller, Response, get, post

from models.errors import NotFoundError
from service.console.form import Form, FormError
from service.console.formatting import number
from service.console.layer_form import LayerView
from service.control.precondition import RevisionError
from service.middleware.json_body import broken_rule
from service.rollouts.layer import Layer
from service.routes.console.deleted import deleted_of
from service.routes.console.editing import (
    Section,
    changed_by,
    delete_document,
    history_of,
    new_id,
    save_document,
    seen_revision,
    show_conflict,
    undo_document,
)
from service.routes.console.form_errors import REFUSALS, errors_of
from service.routes.console.frame import ConsoleRequest, Page, go, page
from service.routes.console.gate import FormData, section
from service.routes.console.holdout import stored_holdout
from service.routes.console.layer_views import layer_views
from service.routes.documents import PathId

LAYERS = Section("layer", "Layers", "/console/layers")
UNITS = (
    ("user_id", "people, by user id (else by browser)"),
    ("anonymous_id", "browsers, always"),
)
_NEW = Layer()


class LayerPages(Controller):
    """Layers, one by one and all together."""

    path = "/layers"
    opt = section("rollouts")

    @get(sync_to_thread=True)
    def show_list(self, request: ConsoleRequest) -> Page:
        """List all layers, and say how many people are held out of all rollouts."""
        views = layer_views(request)
        return page(
            request,
            "layers/list.html",
            title="Layers and holdout",
            views=[(view, LAYERS.path_of(view.key)) for view in views.values()],
            holdout=stored_holdout(request),
            deleted=deleted_of(request, LAYERS, views),
        )

    @get("/new", sync_to_thread=True)
    def show_new(self, request: ConsoleRequest) -> Page:
        """Show an empty form."""
        return _draw(request, _fields(_NEW), None)

    @get("/{layer_key:str}", sync_to_thread=True)
    def show_one(self, request: ConsoleRequest, layer_key: PathId) -> Page:
        """Show a layer in the form, and who has what of it."""
        view = _find(request, layer_key)
        return _draw(request, _fields(view.layer), view)

    @post("/save", sync_to_thread=True)
    def save(self, request: ConsoleRequest, form: FormData) -> Response[Any]:
        """Save it, on the state that the form was opened with."""
        views = layer_views(request)
        is_new = not form.text("revision")
        view = None if is_new else views.get(form.text("id"))
        try:
            key = new_id(form, set(views), fallback="layer") if is_new else form.text("id")
            layer = _read(form, view)
            try:
                save_document(request, LAYERS, key, layer, form)
            except RevisionError as error:
                return show_conflict(request, LAYERS, error, layer, form)
        except REFUSALS as error:
            fields = {name: form.text(name) for name in _fields(_NEW)}
            return _draw(request, fields, view, errors=errors_of(error), status=400, form=form)
        return go(request, LAYERS.path_of(key), "Saved. It is in effect within a second.")

    @post("/{layer_key:str}/delete", sync_to_thread=True)
    def remove(self, request: ConsoleRequest, layer_key: PathId) -> Response[Any]:
        """Delete it, unless a rollout has a part of it."""
        try:
            delete_document(request, LAYERS, layer_key)
        except NotFoundError:
            raise
        except REFUSALS as error:
            view = _find(request, layer_key)
            return _draw(request, _fields(view.layer), view, errors=errors_of(error), status=409)
        return go(request, LAYERS.path, f"“{layer_key}” is deleted.")

    @post("/{layer_key:str}/undo", sync_to_thread=True)
    def undo(self, request: ConsoleRequest, layer_key: PathId, form: FormData) -> Response[Any]:
        """Take it back to a change of its history."""
        try:
            undo_document(request, LAYERS, layer_key, form)
        except REFUSALS as error:
            view = layer_views(request).get(layer_key)
            if view is None:
                raise
            return _draw(request, _fields(view.layer), view, errors=errors_of(error), status=409)
        return go(request, LAYERS.path_of(layer_key), "It is as it was.")


def _find(request: ConsoleRequest, key: str) -> LayerView:
    view = layer_views(request).get(key)
    if view is None:
        raise NotFoundError(f"layer {key!r} is not configured; make it under Layers and holdout")
    return view


def _fields(layer: Layer) -> dict[str, str]:
    """Write a layer as the fields of its form."""
    return {
        "id": layer.key,
        "name": layer.name or "",
        "unit": layer.unit,
        "n_slots": str(layer.n_slots),
        "rest_days": number(layer.rest_days),
    }


def _read(form: Form, view: LayerView | None) -> Layer:
    """Read the form; what cannot change while a rollout has a part of it is not in the form."""
    stored = _NEW if view is None else view.layer
    typed = form.text("n_slots") or str(stored.n_slots)
    if not typed.isdigit():
        raise FormError("n_slots", f"{typed!r} is no whole number; write it as 1000")
    document = {
        "name": form.optional("name"),
        "unit": form.text("unit") or stored.unit,
        "n_slots": int(typed),
        "rest_days": form.number("rest_days", "Days of rest"),
        "salt": stored.salt,
    }
    try:
        return msgspec.convert(document, Layer)
    except msgspec.ValidationError as error:
        raise broken_rule(document, error) from error


def _draw(
    request: ConsoleRequest,
    fields: dict[str, str],
    view: LayerView | None,
    *,
    errors: dict[str, str] | None = None,
    status: int = 200,
    form: Form | None = None,
) -> Page:
    history = [] if view is None else history_of(request, LAYERS, view.key)
    return page(
        request,
        "layers/edit.html",
        title="New layer" if view is None else view.title,
        status=status,
        errors=errors or {},
        fields=fields,
        view=view,
        revision=seen_revision(None if view is None else view.layer, form),
        units=UNITS,
        history=history,
        changed_by=changed_by(history, request),
        path="" if view is None else LAYERS.path_of(view.key),
    )
