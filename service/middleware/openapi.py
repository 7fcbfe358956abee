"""What /schema says of the whole interface: its name, its keys, how it refuses."""

from __future__ import annotations

from importlib.metadata import version
from inspect import cleandoc

import msgspec
from litestar import Litestar, Router
from litestar._openapi.schema_generation import SchemaCreator
from litestar._openapi.schema_generation.plugins.struct import StructSchemaPlugin
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, Schema, SecurityScheme, Tag
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition
from litestar.utils.helpers import unwrap_partial

from service.middleware.access import needs, scope_of

DESCRIPTION = """\
Decides which banners and products stand in each placement of a shop's pages.

Every request but the two of health carries a key, as `Authorization: Bearer KEY` or
`X-API-Key: KEY`. The scopes are `server` (events, as the shop's own server tells them; every other
scope may send events, too), `publishable` (serve, events), `merchandiser`, `trainer` and
`support` (one shopper's data in the console; each also what publishable may), and `admin`
(everything). Every refusal is `application/problem+json`.
An id is any UTF-8 text of 1 to 256 bytes without NUL, percent-encoded in a path; ids of
placements, banners and rollouts hold no slash.
"""
_TAGS = {
    "serve": "What stands in the placements of a page.",
    "placements": "Slots of the pages: what stands there, and how it is chosen.",
    "banners": "Pictures with a link.",
    "rollouts": "Which share of the units is treated.",
    "flags": "Rollouts as flags of the OpenFeature protocol, and their changes.",
    "events": "What shoppers did.",
    "rules": "What merchandisers want beside, or against, the ranking.",
    "items": "Statuses of items between two trainings.",
    "catalogue": "The items as the live model knows them, and how much of them is shown.",
    "insights": "What the shop as a whole does.",
    "privacy": "What is kept of people.",
    "keys": "Who may call.",
    "models": "Versions of the model.",
    "health": "For load balancers and Prometheus.",
}


class ExactStructs(OpenAPISchemaPlugin):
    """Describes a struct as msgspec checks it, with its docstring."""

    @staticmethod
    def is_plugin_supported_type(value: object) -> bool:
        """Say whether a type is a struct."""
        return isinstance(value, type) and issubclass(value, msgspec.Struct)

    def to_openapi_schema(
        self, field_definition: FieldDefinition, schema_creator: SchemaCreator
    ) -> Schema:
        """Let Litestar register the structs inside, then put in what msgspec says of fields."""
        schema = StructSchemaPlugin().to_openapi_schema(field_definition, schema_creator)
        assert schema.properties is not None
        struct = field_definition.annotation
        _, components = msgspec.json.schema_components(
            [struct], ref_template="#/components/schemas/{name}"
        )
        exact = components[struct.__name__]
        schema.description = exact.get("description")
        for name, described in exact["properties"].items():
            # What refers to another struct stays Litestar's: it alone knows under which name that
            # struct is registered when two have the same.
            if "$ref" not in str(described):
                schema.properties[name] = described
        return schema


def describe_scopes(app: Litestar) -> None:
    """Add to each route's description which scope it needs."""
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            if not isinstance(handler, HTTPRouteHandler):
                continue
            written = unwrap_partial(handler.fn).__doc__
            if written:
                scope = scope_of(handler)
                needed = f"Needs a key of scope `{scope}`." if scope else "Needs no key."
                handler.description = f"{cleandoc(written)}\n\n{needed}"


def describe_api() -> OpenAPIConfig:
    """Configure the OpenAPI document, served as JSON at /schema."""
    return OpenAPIConfig(
        title="Endcap",
        version=version("endcap"),
        description=DESCRIPTION,
        use_handler_docstrings=True,
        tags=[Tag(name=name, description=text) for name, text in _TAGS.items()],
        components=Components(
            security_schemes={
                "bearer": SecurityScheme(
                    type="http", scheme="bearer", description="A key of Endcap."
                ),
                "header": SecurityScheme(
                    type="apiKey",
                    name="X-API-Key",
                    security_scheme_in="header",
                    description="The same key in a header of its own.",
                ),
            }
        ),
        security=[{"bearer": []}, {"header": []}],
        openapi_router=Router(
            "/schema",
            route_handlers=[],
            include_in_schema=False,
            opt=needs("publishable"),
            dto=None,
            return_dto=None,
        ),
        render_plugins=[JsonRenderPlugin(path="/openapi.json")],
    )
