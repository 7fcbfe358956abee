"""Addresses inside the console."""

from __future__ import annotations

from urllib.parse import quote

from service.routes.console.frame import HOME


def rollout_path(key: str, *parts: str) -> str:
    """Return the address of a rollout's page, or of something below it."""
    return "/".join([f"{HOME}/rollouts/{quote(key, safe='')}", *parts])
