"""Who sends a request, as far as its headers say: the same headers always say the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from service.control.keys import digest_of
from service.intake.robots import is_robot
from service.middleware.access import key_of

Headers = Iterable[tuple[bytes, bytes]]


class Sender(NamedTuple):
    """What answering a page wants to know of its headers."""

    key_digest: bytes | None
    """Of the key; whom it belongs to, and whether it still does, is asked for each request."""
    is_robot: bool
    has_origin: bool
    """Whether a page of another origin may be asking."""
    user_agent: str | None
    """What the client calls itself; nothing if the body may be something else than plain JSON."""


def read_sender(headers: Headers) -> Sender:
    """Read the headers of a request, whose names are in small letters."""
    key = key_of(headers)
    return Sender(
        key_digest=None if key is None else digest_of(key),
        is_robot=is_robot(user_agent_of(headers)),
        has_origin=any(name == b"origin" for name, _ in headers),
        user_agent=user_agent_of(headers) if is_plain_json(headers) else None,
    )


def user_agent_of(headers: Headers) -> str:
    """Return what a client calls itself, or nothing."""
    for name, value in headers:
        if name == b"user-agent":
            return value.decode("latin-1")
    return ""


def is_plain_json(headers: Headers) -> bool:
    """Say whether no header speaks of another form."""
    return not any(
        name.startswith(b"ce-")
        or (name == b"content-type" and not value.startswith(b"application/json"))
        for name, value in headers
    )
