"""A home for one run: the shop's models by link, databases of its own, placements and rollouts."""

from __future__ import annotations

import shutil
from pathlib import Path

import httpx

from models.artifact import ArtifactStore
from tests.benchmarks.serve.processes import Server
from tests.benchmarks.serve.shop import COUNTRIES

N_BANNERS = 20


def make_home(folder: Path, shop: Path) -> Path:
    """Link what never changes of a shop; whatever a server writes stays in `folder`."""
    for part in ("models", "cache"):
        (folder / part).mkdir(parents=True)
        for version in (shop / part).iterdir():
            if version.is_dir() and not version.name.startswith("."):
                (folder / part / version.name).symlink_to(version)
    shutil.copy(shop / "pseudonym.key", folder)
    live = ArtifactStore(shop).live_version()
    assert live is not None
    ArtifactStore(folder).promote(live)
    return folder


def furnish(server: Server) -> None:
    """Store one placement of banners and one of items, each under a rollout with two arms."""
    _put(server, "/v1/placements/home_recs", {"kind": "items", "count": 12})
    _put(server, "/v1/placements/home_hero", {"kind": "banners", "count": 1})
    for number in range(N_BANNERS):
        banner = {
            "title": f"Aisle {number}",
            "image_url": f"/banners/{number}.jpg",
            "link_url": f"/aisles/{number}",
            "categories": [f"Home > Aisle {number * 5}"],
        }
        _put(server, f"/v1/banners/aisle-{number}", banner)
    arms = [{"key": "personal", "weight": 1}, {"key": "again", "weight": 1}]
    everywhere = {"op": "in", "attribute": "country", "values": list(COUNTRIES)}
    _put(server, "/v1/rollouts/home_hero", {"share": 0.5, "variants": arms})
    # Everyone is treated, so that no page is cheap because it is static.
    rollout = {"share": 1.0, "variants": arms, "audience": everywhere}
    _put(server, "/v1/rollouts/home_recs", rollout)


def _put(server: Server, path: str, document: object) -> None:
    headers = {"X-API-Key": server.keys["admin"]}
    answer = httpx.put(server.address + path, json=document, headers=headers, timeout=20)
    if answer.status_code not in (200, 201):
        raise RuntimeError(f"PUT {path} was answered {answer.status_code}: {answer.text}")
