"""Keeps what is dear to work out for as long as it may be old."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from threading import Lock, Thread
from typing import Generic, TypeVar

import structlog

_log = structlog.get_logger(__name__)

T = TypeVar("T")


class Kept(Generic[T]):
    """Values by key; threads that ask for one at the same time wait for the one that makes it."""

    def __init__(self, for_ms: int, max_keys: int = 64) -> None:
        self._for_ms = for_ms
        self._max_keys = max_keys
        self._values: dict[Hashable, tuple[int, T]] = {}
        self._lock = Lock()
        self._making: dict[Hashable, Thread] = {}

    def get_soon(
        self, key: Hashable, now_ms: int, make: Callable[[], T], *, wait_s: float
    ) -> T | None:
        """Return the newest value of a key, waiting no longer than `wait_s` for a newer one.

        Made in a thread of its own, so that who looks meanwhile sees the one before, or nothing.
        """
        kept = self._values.get(key)
        if kept is not None and 0 <= now_ms - kept[0] < self._for_ms:
            return kept[1]
        with self._lock:
            maker = self._making.get(key)
            if maker is None or not maker.is_alive():
                maker = Thread(target=self._make, args=(key, now_ms, make), daemon=True)
                self._making[key] = maker
                maker.start()
        maker.join(wait_s)
        kept = self._values.get(key)
        return None if kept is None else kept[1]

    def _make(self, key: Hashable, now_ms: int, make: Callable[[], T]) -> None:
        try:
            self._values[key] = (now_ms, make())
        except Exception:  # the loop of a thread: whoever looks next tries again
            _log.exception("not_kept", key=str(key))

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
