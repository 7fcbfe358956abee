"""How often units saw which banner: a bounded cache over the exposures that follows all workers.

Asked only while a banner has a cap. Everything runs in the event loop, except the reads.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence

import structlog

from service.exposure import Exposure
from service.intake.recents import AFTER_FAILURE_S
from service.stores.banner_views import BannerView, BannerViewReader

MAX_WINDOW_MS = 30 * 86_400_000
"""The longest window of a cap."""
MAX_VIEWS = 2_000
"""The newest views of a unit that surely count: a page looks at all that are kept."""

_log = structlog.get_logger(__name__)


class BannerViews:
    """Views by unit."""

    def __init__(self, reader: BannerViewReader, *, max_cached: int = 50_000) -> None:
        """Keep at most `max_cached` units; the oldest goes first."""
        self._reader = reader
        self._max_cached = max_cached
        self._units: OrderedDict[str, dict[tuple[str, str], BannerView]] = OrderedDict()
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._version = reader.data_version()
        self._seq: int | None = None
        """The last exposure that is counted; nothing while there is no unit to count for."""

    async def views(
        self, unit_keys: Iterable[str], now_ms: int, timeout_s: float
    ) -> list[tuple[str, int]] | None:
        """Return (banner, ms) of all that these units were shown; nothing if not in time."""
        found: list[tuple[str, int]] = []
        try:
            async with asyncio.timeout(max(timeout_s, 0.0)):
                for key in unit_keys:
                    if key not in self._units or key in self._loading:
                        await asyncio.shield(self._load(key, now_ms))
                    known = self._units.get(key, {})
                    found += [(view.banner_id, view.at_ms) for view in known.values()]
        except Exception:  # whatever the store does, a page is answered; a failed read is logged
            return None
        return found

    def add(self, exposures: Sequence[Exposure]) -> None:
        """Count what this process has just shown."""
        for exposure in exposures:
            unit_key = exposure.unit_key
            if exposure.kind == "banners" and unit_key is not None:
                self._count(
                    unit_key,
                    [
                        BannerView(exposure.exposure_id, exposure.at_ms, one.id)
                        for one in exposure.shown
                    ],
                )

    async def catch_up(self) -> None:
        """Count what other processes have shown since the last call."""
        version = self._reader.data_version()
        if version == self._version:
            return
        while self._seq is not None:
            if not self._units:
                self._seq = None
                break
            wanted = set(self._units)
            found, last = await asyncio.to_thread(self._reader.since, self._seq, wanted)
            for unit_key, views in found:
                self._count(unit_key, views)
            if last == self._seq:
                break
            self._seq = last
        self._version = version

    async def follow(self, poll_s: float) -> None:
        """Catch up every `poll_s` until cancelled."""
        while True:
            try:
                await self.catch_up()
            except Exception:  # a task's loop: the next round may succeed
                _log.exception("banner_views_not_followed")
                # A server that is away is not asked, and told of, ten times a second.
                await asyncio.sleep(AFTER_FAILURE_S)
            await asyncio.sleep(poll_s)

    def forget(self, keys: Iterable[str]) -> None:
        """Drop what is kept of these pseudonyms."""
        for key in keys:
            self._units.pop(key, None)

    def forget_all(self) -> None:
        """Drop everything; the next page of each unit reads the store."""
        self._units.clear()

    def close(self) -> None:
        """Close the store, once a read under way has ended."""
        self._reader.close()

    def _load(self, unit_key: str, now_ms: int) -> asyncio.Task[None]:
        """Read a unit once for all who wait for it; a caller that gives up stops nothing."""
        task = self._loading.get(unit_key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._load_now(unit_key, now_ms))
            task.add_done_callback(_tell_failure)
            self._loading[unit_key] = task
        return task

    async def _load_now(self, unit_key: str, now_ms: int) -> None:
        # Known from here on, so that what is shown during the read is counted too.
        self._units[unit_key] = {}
        try:
            if self._seq is None:
                self._begin_after(await asyncio.to_thread(self._reader.last_seq))
            views = await asyncio.to_thread(self._reader.newest, unit_key, now_ms - MAX_WINDOW_MS)
        except BaseException:
            self._units.pop(unit_key, None)
            raise
        finally:
            del self._loading[unit_key]
        self._count(unit_key, views)
        while len(self._units) > self._max_cached:
            self._units.popitem(last=False)

    def _begin_after(self, seq: int) -> None:
        """Count what comes after an exposure, unless another unit's read has begun to."""
        if self._seq is None:
            self._seq = seq

    def _count(self, unit_key: str, views: Iterable[BannerView]) -> None:
        known = self._units.get(unit_key)
        if known is None:
            return
        known.update({(view.exposure_id, view.banner_id): view for view in views})
        # Whoever reloads all day under one id, as a monitor does, is not to be looked at longer
        # and longer. Half at a time, for they have to be sorted.
        if len(known) > 2 * MAX_VIEWS:
            newest = sorted(known.items(), key=lambda one: one[1].at_ms)[-MAX_VIEWS:]
            self._units[unit_key] = dict(newest)


def _tell_failure(task: asyncio.Task[None]) -> None:
    """Log a read that failed, so that it is told even if nobody waits for it any more."""
    if not task.cancelled() and task.exception() is not None:
        _log.warning("banner_views_not_read", error=repr(task.exception()))
