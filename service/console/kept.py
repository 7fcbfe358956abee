"""Keeps what is dear to work out for as long as it may be old."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """Values by key; threads that ask for one at the same time wait for the one that makes it."""

    def __init__(self, for_ms: int, max_keys: int = 64) -> None:
        self._for_ms = for_ms
        self._max_keys = max_keys
        self._values: dict[Hashable, tuple[int, T]] = {}
        self._lock = Lock()

    def get(self, key: Hashable, now_ms: int, make: Callable[[], T]) -> T:
        """Return the value of a key, made anew if it is too old."""
        with self._lock:
            kept = self._values.get(key)
            if kept is None or not 0 <= now_ms - kept[0] < self._for_ms:
                self._values.pop(key, None)
                while len(self._values) >= self._max_keys:
                    self._values.pop(next(iter(self._values)))
                kept = self._values[key] = (now_ms, make())
            return kept[1]
