"""Addresses inside the console."""

from __future__ import annotations

from urllib.parse import quote

from service.routes.console.frame import HOME

_SECTIONS = {
    "rollout": "rollouts",
    "placement": "placements",
    "banner": "banners",
    "rule": "rules",
}


def document_path(kind: str, document_id: str) -> str:
    """Return the address of a document's page, or nothing if its kind has none."""
    section = _SECTIONS.get(kind)
    return f"{HOME}/{section}/{quote(document_id, safe='')}" if section else ""


def rollout_path(key: str, *parts: str) -> str:
    """Return the address of a rollout's page, or of something below it."""
    return "/".join([f"{HOME}/rollouts/{quote(key, safe='')}", *parts])
