"""How the simulated shop uses Endcap: its placements, its banners and its one rollout."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.simulation.api import Body
from training.simulation.catalog import Shop

HERO = "home_hero"
RECS = "home_recs"
SIMILAR = "product_similar"
TOGETHER = "product_together"
ROLLOUT = RECS
EXPLORE_SHARE = 0.1
"""So that the click rate of every banner can be learned."""
_N_BANNERS = 6


PLACEMENTS: dict[str, Body] = {
    RECS: {"name": "Home page: for you", "count": 12, "max_per_category": 4},
    SIMILAR: {"name": "Item page: more like this", "count": 6, "recipe": "similar_items"},
    TOGETHER: {"name": "Item page: goes well with it", "count": 4, "recipe": "bought_together"},
    # Simulated shoppers do not look at these; they are in the storefront.
    "home_trending": {"name": "Home page: trending", "count": 6, "recipe": "trending"},
    "category_picks": {"name": "Department: you may also like", "count": 6},
    "basket_together": {
        "name": "Basket: goes well with it",
        "count": 6,
        "recipe": "bought_together",
    },
}
"""Placements of items; each has the best sellers as the merchandiser's list."""


@dataclass(frozen=True, slots=True)
class BannerPlan:
    """One banner and the leaves it advertises."""

    id: str
    document: Body
    leaf_rows: NDArray[np.int64]


def plan_banners(shop: Shop) -> list[BannerPlan]:
    """Book one banner per department, for the departments with the most leaves."""
    leaves: dict[str, list[int]] = {}
    for row, path in enumerate(shop.leaves):
        leaves.setdefault(path.split(" > ", 1)[0], []).append(row)
    largest = sorted(leaves, key=lambda name: (-len(leaves[name]), name))[:_N_BANNERS]
    return [
        BannerPlan(
            id=f"{name.lower()}_week",
            document={
                "title": f"{name} week: fresh picks",
                "image_url": f"/demo/banners/{name.lower()}_week.svg",
                "link_url": f"/demo/shop/{name.lower()}",
                "categories": [shop.leaves[row] for row in leaves[name]],
            },
            leaf_rows=np.array(leaves[name]),
        )
        for name in largest
    ]


def documents(banners: list[BannerPlan], best: list[str], share: float) -> list[tuple[str, Body]]:
    """List what to PUT where: banners first, so that a placement names none that is unknown."""
    hero = {
        "name": "Home page: the stage",
        "kind": "banners",
        "count": 1,
        "static_ids": [banner.id for banner in banners],
        "explore_share": EXPLORE_SHARE,
    }
    rollout = {"name": "Personal home page", "share": share, "variants": [{"key": "personal"}]}
    return [
        *((f"/v1/banners/{banner.id}", banner.document) for banner in banners),
        (f"/v1/placements/{HERO}", hero),
        *(
            (f"/v1/placements/{placement_id}", {**document, "kind": "items", "static_ids": best})
            for placement_id, document in PLACEMENTS.items()
        ),
        (f"/v1/rollouts/{ROLLOUT}", rollout),
    ]
