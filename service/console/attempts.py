"""How often an address may try a wrong key, so that nobody tries all day."""

from __future__ import annotations

from collections import OrderedDict

WINDOW_MS = 60_000
MAX_FAILED = 10
_MAX_ADDRESSES = 10_000


class SignInAttempts:
    """Counts the failed attempts of each address in the last minute, in this worker."""

    def __init__(self) -> None:
        self._failed: OrderedDict[str, list[int]] = OrderedDict()

    def may_try(self, address: str, now_ms: int) -> bool:
        """Say whether an address has attempts left."""
        return len(self._recent(address, now_ms)) < MAX_FAILED

    def count_failed(self, address: str, now_ms: int) -> None:
        """Remember an attempt with a wrong key."""
        self._failed[address] = [*self._recent(address, now_ms), now_ms]
        self._failed.move_to_end(address)
        while len(self._failed) > _MAX_ADDRESSES:
            self._failed.popitem(last=False)

    def _recent(self, address: str, now_ms: int) -> list[int]:
        return [at for at in self._failed.get(address, ()) if now_ms - at < WINDOW_MS]
