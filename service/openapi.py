"""What /schema says of the whole interface: its name, its keys, how it refuses."""

from __future__ import annotations

from importlib.metadata import version

from litestar import Router
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme, Tag

from service.access import needs

DESCRIPTION = """\
Decides which banners and products stand in each placement of a shop's pages.

Every request but the two of health carries a key, as `Authorization: Bearer KEY` or
`X-API-Key: KEY`. The scopes are `publishable` (serve, events), `merchandiser` and `trainer` (each
also what publishable may), and `admin` (everything). Every refusal is `application/problem+json`.
An id is any UTF-8 text of 1 to 256 bytes without NUL, percent-encoded in a path; ids of
placements, banners and rollouts hold no slash.
"""
_TAGS = {
    "serve": "What stands in the placements of a page.",
    "placements": "Slots of the pages: what stands there, and how it is chosen.",
    "banners": "Pictures with a link.",
    "rollouts": "Which share of the units is treated.",
    "events": "What shoppers did.",
    "items": "Statuses of items between two trainings.",
    "keys": "Who may call.",
    "models": "Versions of the model.",
    "health": "For load balancers and Prometheus.",
}


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
