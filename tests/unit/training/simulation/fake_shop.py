"""A service of a few lines: every placement gets the same items, every event is accepted."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec

from training.simulation.api import Storefront
from training.simulation.browsing import Browsing
from training.simulation.counters import Counters
from training.simulation.shelves import plan_banners
from training.simulation.world import World

SLATE_SIZE = {"home_hero": 1, "home_recs": 12, "product_similar": 6, "product_together": 4}


class FakeService:
    """Answers like the service and remembers what it was asked."""

    def __init__(self, world: World, status: int = 200, first: tuple[str, ...] = ()) -> None:
        """Let `first` stand before everything else, in every slate."""
        self._items = [*first, *world.shop.item_ids]
        self._banners = [*first, *(banner.id for banner in plan_banners(world.shop))]
        self._status = status
        self.pages: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.exposures: dict[str, list[str]] = {}
        """Ids shown, by exposure."""

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Stand in for the network."""
        if self._status != httpx.codes.OK:
            return httpx.Response(self._status, text="the queue is full")
        body = msgspec.json.decode(request.content)
        if request.url.path == "/v1/events":
            self.events += body
            verdicts = {"accepted": len(body), "duplicate": 0, "rejected": 0}
            return httpx.Response(202, json=verdicts)
        self.pages.append(body)
        slates = [self._slate(placement["id"], body) for placement in body["placements"]]
        return httpx.Response(200, json={"model_version": "abc", "placements": slates})

    def _slate(self, placement_id: str, body: dict[str, Any]) -> dict[str, Any]:
        is_banner = placement_id == "home_hero"
        shown = (self._banners if is_banner else self._items)[: SLATE_SIZE[placement_id]]
        exposure_id = f"e{len(self.exposures)}"
        self.exposures[exposure_id] = shown
        unit = body["user"].get("user_id") or body["user"]["anonymous_id"]
        variant = "personal" if int(unit[1:]) % 2 else "control"
        rollout = {"key": "home_recs", "variant": variant, "reason": "SPLIT", "epoch": 1}
        return {
            "id": placement_id,
            "kind": "banners" if is_banner else "items",
            "exposure_id": exposure_id,
            "tier": "popular",
            "degraded": None,
            "rollout": rollout if placement_id == "home_recs" else None,
            "banners" if is_banner else "items": [
                {"id": shown_id, "position": 1 + i} for i, shown_id in enumerate(shown)
            ],
        }


def open_shop(world: World, service: FakeService) -> Browsing:
    """Let shoppers into a shop that this service serves."""
    counters = Counters()
    transport = httpx.MockTransport(service.answer)
    clients = [httpx.AsyncClient(base_url="http://shop.test", transport=transport) for _ in "1234"]
    return Browsing.of(
        world,
        Storefront(clients, counters, timer=iter(range(1_000_000)).__next__),
        counters,
        {banner.id: banner.leaf_rows for banner in plan_banners(world.shop)},
    )
