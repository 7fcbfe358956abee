"""Which texts name origins of web pages, as browsers send them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from models.errors import ConfigError

ANY = "*"
_ORIGIN = re.compile(
    r"https?://(\*\.)?([a-z0-9]([a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:\d{1,5})?"
)


def check_origins(origins: Iterable[str]) -> None:
    """Raise `ConfigError` if one is none, so that no page could ever have it."""
    for origin in origins:
        if origin != ANY and not _ORIGIN.fullmatch(origin):
            raise ConfigError(
                f"--cors-origins {origin!r} is no origin of a page; write scheme, host and port as "
                "a browser does, in lower case and without a path: https://shop.example, "
                "http://localhost:3000, https://*.shop.example for all below, or * for any"
            )
