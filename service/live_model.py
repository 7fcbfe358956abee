"""The live model in this process: one attribute read for a request, one assignment to swap."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from models.artifact import ArtifactStore
from models.errors import EndcapError
from models.pruning import prune_cache
from models.snapshot import Snapshot
from service.cpu.breath import breathe, no_breath
from service.cpu.garbage import held_off

log = structlog.get_logger(__name__)

IDLE_S = 3_600
"""A copy younger than this may be one that another process is just opening."""
AGAIN_S = 60
"""Before a version that could not be opened is tried again: a full disk may have room by then."""


class LiveModel:
    """Follows the live pointer of the artifact store."""

    def __init__(
        self,
        store: ArtifactStore,
        on_swap: Callable[[str], None],
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._now_s = now_s
        self._on_swap = on_swap
        self.before_swap: Callable[[Snapshot], None] = lambda _snapshot: None
        """Called with a version that was opened, before requests see it, in a thread."""
        self._snapshot: Snapshot | None = None
        self._failed: tuple[str, float] | None = None
        """A version that could not be opened, and when it was tried last."""
        self._told: tuple[str, str] | None = None
        """Of which version the log has been told why."""
        self._unreadable: str | None = None

    def get(self) -> Snapshot | None:
        """Return the live snapshot, or nothing before the first model is promoted."""
        return self._snapshot

    def refresh(self, breathe: Callable[[], None] = no_breath) -> bool:
        """Open the live version if it is another one; say whether it was swapped in.

        `breathe` is called between two pieces of that.

        A version that cannot be opened is tried again every `AGAIN_S`. It is logged once, as is a
        pointer that cannot be read; the one in memory goes on answering.
        """
        try:
            version = self._store.live_version()
        except EndcapError as error:
            self._tell_unreadable(error)
            return False
        self._unreadable = None
        if version is None or version == self.version or self._has_just_failed(version):
            return False
        with held_off():
            try:
                snapshot = self._store.open(version, breathe)
            except EndcapError as error:
                self._failed = version, self._now_s()
                if self._told != (version, error.message):
                    self._told = version, error.message
                    log.error(
                        "model_open_failed",
                        version=version,
                        reason=error.message,
                        again_after_s=AGAIN_S,
                    )
                return False
            self.before_swap(snapshot)
        self._snapshot, self._failed, self._told = snapshot, None, None
        self._on_swap(version)
        log.info("model_swapped", version=version)
        self._prune(version)
        return True

    def _has_just_failed(self, version: str) -> bool:
        if self._failed is None or self._failed[0] != version:
            return False
        # A clock that was set back must not put it off for longer.
        return 0 <= self._now_s() - self._failed[1] < AGAIN_S

    def _prune(self, live: str) -> None:
        """Remove copies that nobody reads: all but that of the live version and the one before."""
        try:
            keep = {live, self._store.previous_version() or live}
            pruned = prune_cache(self._store, keep, before_s=self._now_s() - IDLE_S)
        except (EndcapError, OSError) as error:  # it costs room on disk, nothing else
            log.warning("model_cache_not_pruned", reason=str(error))
        else:
            if pruned:
                log.info("model_cache_pruned", versions=pruned)

    def reopen(self) -> None:
        """Open the version in memory again, if its content has changed."""
        snapshot = self._snapshot
        if snapshot is None:
            return
        manifest = self._store.manifest(snapshot.manifest.version)
        if manifest.checksums == snapshot.manifest.checksums:
            return
        with held_off():
            fresh = self._store.open(manifest.version)
            self.before_swap(fresh)
        self._snapshot = fresh

    def _tell_unreadable(self, error: EndcapError) -> None:
        if self._unreadable != error.message:
            self._unreadable = error.message
            log.error("live_pointer_unreadable", reason=error.message)

    @property
    def version(self) -> str | None:
        """The version in memory."""
        return None if self._snapshot is None else self._snapshot.version

    async def watch(self, poll_s: float) -> None:
        """Refresh until cancelled; opening happens in a thread while requests go on."""
        while True:
            await asyncio.sleep(poll_s)
            try:
                await asyncio.to_thread(self.refresh, breathe)
            except (EndcapError, OSError) as error:
                log.error("model_refresh_failed", error=type(error).__name__)
