"""Tickets: they let a browser's event stream in, which cannot send the key in a header.

A ticket names a key and a day and is signed, so it can be checked in every worker and kept nowhere.
It opens the change stream and nothing else, and dies with its key.
"""

from __future__ import annotations

import hmac
from hashlib import blake2b

DAY_MS = 86_400_000
_DIGEST_BYTES = 16


class Tickets:
    """Writes and checks tickets under one secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def issue(self, key_id: str, now_ms: int) -> str:
        """Make the ticket of a key: the same all day (UTC), good until the next one is over."""
        last_day = now_ms // DAY_MS + 1
        return f"{key_id}.{last_day}.{self._sign(key_id, last_day)}"

    def check(self, ticket: str, now_ms: int) -> str | None:
        """Return the id of the key that a ticket is of, or nothing if it is not good (any more)."""
        parts = ticket.split(".")
        if len(parts) != 3 or not (
            parts[1].isascii() and parts[1].isdigit() and len(parts[1]) < 10
        ):
            return None
        key_id, last_day = parts[0], int(parts[1])
        if not hmac.compare_digest(parts[2].encode(), self._sign(key_id, last_day).encode()):
            return None
        return key_id if now_ms // DAY_MS <= last_day else None

    def _sign(self, key_id: str, last_day: int) -> str:
        message = f"{key_id}.{last_day}".encode()
        return blake2b(message, key=self._secret, digest_size=_DIGEST_BYTES).hexdigest()
