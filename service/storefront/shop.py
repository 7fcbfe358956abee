"""The storefront of one process: its key, its sign, its templates, its view of the live model."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from functools import lru_cache
from hashlib import blake2b
from importlib.resources import files
from typing import Any

import jinja2

from models.pseudonym import Pseudonymiser
from models.snapshot import Snapshot
from service.control.configuration import Configuration
from service.control.keys import ensure_key
from service.settings import Settings
from service.storefront.catalogue import Catalogue
from service.storefront.pictures.draw import Look, draw_banner, draw_item
from service.storefront.sign import Sign, SignBoard
from service.stores.control import ControlStore

ASSETS = {
    "icon.svg": "image/svg+xml",
    "shop.css": "text/css",
    "drawer.css": "text/css",
    "tap.js": "text/javascript",
    "shop.js": "text/javascript",
    "drawer_view.js": "text/javascript",
    "drawer.js": "text/javascript",
}
KEPT_PICTURES = 2_000
_BANNER_THINGS = 5


class Storefront:
    """Everything the pages at ``/demo`` are made with."""

    def __init__(self, settings: Settings, key: str) -> None:
        self.key = key
        self._board = SignBoard(settings.home)
        self.assets = {name: _asset(name) for name in ASSETS}
        self._catalogue: Catalogue | None = None
        self._picture = lru_cache(KEPT_PICTURES)(draw_item)
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader("service.storefront"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["money"] = self.money
        self._templates.globals |= {"asset": self.asset_url, "board": self._board.get}

    @property
    def sign(self) -> Sign:
        """What stands over the door."""
        return self._board.get()

    def catalogue(self, snapshot: Snapshot | None) -> Catalogue | None:
        """Show a model version's items; nothing before the first model."""
        if snapshot is None:
            return None
        if self._catalogue is None or self._catalogue.version != snapshot.version:
            self._catalogue = Catalogue(snapshot)
        return self._catalogue

    def render(self, template: str, **values: Any) -> str:
        """Fill a template."""
        return self._templates.get_template(template).render(**values)

    def money(self, amount: float | None) -> str:
        """Write a price."""
        return "" if amount is None else f"{self.sign.currency}{amount:,.2f}"

    def asset_url(self, name: str) -> str:
        """Say where a file is; the address changes with its content."""
        return f"/demo/assets/{name}?v={tag_of(self.assets[name])}"

    def picture(self, look: Look) -> str:
        """Draw an item, or take the drawing made before."""
        return self._picture(look)

    def banner_picture(
        self, banner_id: str, catalogue: Catalogue, configuration: Configuration
    ) -> str | None:
        """Draw a banner from the best of what it advertises; nothing for an unknown one."""
        banner = configuration.banners.get(banner_id)
        if banner is None:
            return None
        things = catalogue.products(banner.item_ids, configuration)[:_BANNER_THINGS]
        for rank in range(_BANNER_THINGS):
            for path in banner.categories:
                best = catalogue.best(path, configuration, rank + 1)
                if len(things) < _BANNER_THINGS and len(best) > rank:
                    things.append(best[rank])
        return draw_banner(banner_id, [product.look for product in things])


def tag_of(content: str) -> str:
    """Name a content."""
    return blake2b(content.encode(), digest_size=6).hexdigest()


def open_storefront(
    settings: Settings, pseudonymiser: Pseudonymiser, store: ControlStore, now_ms: int
) -> Storefront:
    """Open the shop with a publishable key that every worker finds by itself."""
    secret = urlsafe_b64encode(pseudonymiser.derive("storefront key")[:32]).decode().rstrip("=")
    key = f"endcap_publishable_{secret}"
    name = "storefront at /demo"
    ensure_key(store, key, scope="publishable", name=name, actor="start", now_ms=now_ms)
    return Storefront(settings, key)


def _asset(name: str) -> str:
    return files("service.storefront").joinpath("assets", name).read_text(encoding="utf-8")
