"""The templates' environment: where they are, that they escape, and how they write numbers."""

from __future__ import annotations

from hashlib import blake2b
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined

from service.console.formatting import FILTERS, ago

ASSET_TYPES = {
    "console.css": "text/css",
    "console.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
ASSETS = {
    name: files("service.console").joinpath("assets", name).read_bytes() for name in ASSET_TYPES
}
ASSETS_VERSION = blake2b(b"".join(ASSETS.values()), digest_size=6).hexdigest()
"""In the address of each, so that a browser keeps one as long as it is the same."""


def make_environment() -> Environment:
    """Make the environment; a name that a template misspells is an error, not an empty place."""
    environment = Environment(
        loader=PackageLoader("service.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    environment.globals.update(
        asset=lambda name: f"/console/assets/{name}?v={ASSETS_VERSION}", ago=ago
    )
    return environment
