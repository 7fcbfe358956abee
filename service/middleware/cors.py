"""Which pages of other origins may read answers, and what a shared cache must know of it.

Litestar's own middleware names an origin in the answers to it alone. A cache that keeps the answer
to one page for the next one's has to keep them apart, so whatever it may keep says that it varies.
"""

from __future__ import annotations

from litestar.config.cors import CORSConfig
from litestar.datastructures import MutableScopeHeaders
from litestar.types import Message, Scope

ALLOWED = "access-control-allow-origin"
KEPT_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Whose answers caches keep."""
CLIENT_HEADERS = (
    "AnonymousId",
    "SentAt",
    "Rsa-Recovered",
    "Rsa-Retry-Attempt",
    "Rsa-Since-Last-Attempt",
    "Rsa-Since-First-Attempt",
    "Rsa-Retry-Reason",
    "X-Retry-Count",
)
"""What the libraries of Segment and RudderStack send along; a browser has to be allowed to."""


def cors_config(origins: tuple[str, ...]) -> CORSConfig | None:
    """Configure Litestar's middleware; without origins there is none."""
    if not origins:
        return None
    return CORSConfig(
        allow_origins=list(origins),
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
        allow_headers=[
            *("Authorization", "X-API-Key", "Content-Type", "If-Match", "If-None-Match"),
            *CLIENT_HEADERS,
        ],
        expose_headers=["ETag", "Retry-After"],
        max_age=600,
    )


async def vary_by_origin(message: Message, scope: Scope) -> None:
    """Mark the head of an answer; one that is for everybody (``*``) is the same for all.

    An origin that may not read the answer is told nothing of what others may do.
    """
    if message["type"] != "http.response.start":
        return
    headers = MutableScopeHeaders.from_message(message)
    allowed = headers.get(ALLOWED)
    if allowed == "*":
        return
    varies = [each.strip() for each in headers.get("vary", "").split(",") if each.strip()]
    is_said = bool({"*", "origin"} & {each.lower() for each in varies})
    if not is_said and scope.get("method") in KEPT_METHODS:
        headers["vary"] = ", ".join([*varies, "Origin"])
    if allowed is None:
        for name in [name for name in headers if name.lower().startswith("access-control-")]:
            del headers[name]
