"""The configuration and the keys as of now, in this process: one attribute read for a request.

A watcher in each worker polls the store, so that a change made anywhere is in effect everywhere
within a second; the worker that made the change refreshes at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock

import msgspec
import structlog

from models.errors import EndcapError
from service.control.configuration import Configuration
from service.control.documents import DOCUMENT_TYPES, ID_FIELDS, Document, DocumentKind
from service.control.keys import Principal, principals_of
from service.rollouts.segment import MemberList, Segment
from service.rollouts.visitor import Members
from service.stores.control_reader import ControlReader
from service.stores.control_rows import StoredDocument
from service.stores.segment_files import SegmentFiles

FLAG_KINDS: frozenset[str] = frozenset({"rollout", "layer", "holdout", "segment"})
"""Kinds of documents that change what a rollout answers."""

SAY_AGAIN_S = 60.0
"""How often it is said that the store cannot be read."""
SILENT_S = 5.0
"""A store that has not answered for so long cannot be read, whatever it answers in the end."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _State:
    configuration: Configuration = field(default_factory=Configuration)
    principals: dict[bytes, Principal] = field(default_factory=dict)


class CurrentConfiguration:
    """Holds the newest state and replaces it whole; never a mixture of two."""

    def __init__(
        self,
        reader: ControlReader,
        on_change: Callable[[int], None] = lambda _revision: None,
        segment_files: SegmentFiles | None = None,
        show_reachable: Callable[[bool], None] = lambda _is_up: None,
    ) -> None:
        self._segment_files = segment_files
        self._segments: dict[str, tuple[str, Members]] = {}
        self._reader = reader
        self._on_change = on_change
        self._show_reachable = show_reachable
        self._lock = Lock()
        self._data_version: int | str | None = None
        self._documents: dict[tuple[str, str], Document] = {}
        self._state = _State()
        self._listeners: list[Callable[[], None]] = []
        self.failing_since_ms: int | None = None
        """Since when the store cannot be read, if it cannot."""
        self._told_s: float | None = None
        """When the log was told of that last."""
        self.before_swap: Callable[[Configuration], None] = lambda _configuration: None
        """Told of a state that is about to be in effect, in the thread that read it."""
        self.refresh()

    def get(self) -> Configuration:
        """Return the newest configuration."""
        return self._state.configuration

    def find_principal(self, digest: bytes) -> Principal | None:
        """Return whom a key belongs to, by its digest, unless it is unknown or revoked."""
        return self._state.principals.get(digest)

    def find_key(self, key_id: str) -> Principal | None:
        """Return whom a key belongs to, by its id, unless it is unknown or revoked."""
        principals = self._state.principals.values()
        return next((one for one in principals if one.key_id == key_id), None)

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call `listener` after each new state, in the thread that read it."""
        self._listeners.append(listener)

    def refresh(self) -> bool:
        """Read what has changed since the last refresh; say whether anything has."""
        with self._lock:
            data_version = self._reader.data_version()
            if data_version == self._data_version:
                return False
            revision = self._state.configuration.revision
            goes_on = self._data_version is not None and self._reader.follows(revision)
            changes = self._reader.changes_since(revision if goes_on else 0)
            if goes_on and changes.newest == revision:
                # Something else was written, such as a lease; a new state would only empty caches.
                self._data_version = data_version
                return False
            if not goes_on:
                self._documents.clear()
            for stored in changes.written:
                self._keep(stored)
            for kind, document_id in changes.deleted:
                self._documents.pop((kind, document_id), None)
            # Not the newest of all: every worker must come to the same number, whenever it looks.
            flags_revision = max(
                (latest for kind, latest in changes.latest.items() if kind in FLAG_KINDS),
                default=self._state.configuration.flags_revision if goes_on else 0,
            )
            configuration = Configuration.compile(
                changes.newest,
                self._documents.values(),
                flags_revision=flags_revision,
                open_segment=self._open_segment,
                before=self._state.configuration if goes_on else None,
            )
            self._get_ready(configuration)
            self._state = _State(configuration, principals_of(changes.keys))
            self._data_version = data_version
            self._on_change(changes.newest)
            if "segment" in changes.latest:
                self._drop_segments()
        for listener in self._listeners:
            listener()
        return True

    def take_effect(self) -> None:
        """Refresh after a change of this process; if that fails now, the watcher tries again."""
        try:
            self.refresh()
        except EndcapError as error:
            log.warning("control_refresh_failed", code=error.code, reason=error.message)

    async def watch(self, poll_s: float) -> None:
        """Refresh until cancelled; a failing store leaves the last good state in effect.

        The thread is its own: behind reads that wait for a slow disk a kill switch would be late.
        """
        loop = asyncio.get_running_loop()
        listen = self._reader.listen
        with ThreadPoolExecutor(1, thread_name_prefix="control-watcher") as thread:
            while True:
                try:
                    reading = loop.run_in_executor(thread, self.refresh)
                    # Who stops while the store is silent does not wait for what it says.
                    reading.add_done_callback(lambda one: one.cancelled() or one.exception())
                    await self._notice_silence(reading)
                    await reading
                    self._note(is_read=True)
                except EndcapError as error:
                    self._note(is_read=False)
                    self._tell(error.code, error.message)
                except Exception:  # the loop of a task: an odd document must not end it
                    log.exception("control_refresh_failed")
                if listen is None:
                    await asyncio.sleep(poll_s)
                else:
                    await loop.run_in_executor(thread, listen)

    async def _notice_silence(self, reading: asyncio.Future[bool]) -> None:
        """Wait for a refresh, and say so if it takes too long; it goes on."""
        since_ms = _now_ms()
        done, _ = await asyncio.wait([reading], timeout=SILENT_S)
        if not done:
            self._note(is_read=False, since_ms=since_ms)
            self._tell(
                "store",
                f"the control plane has not answered for {SILENT_S:.0f} s; pages go on as last "
                "configured; see what its database waits for",
            )

    def _tell(self, code: str, reason: str) -> None:
        """Log why the store cannot be read: seldom, if it goes on."""
        now_s = time.monotonic()
        if self._told_s is None or now_s - self._told_s >= SAY_AGAIN_S:
            log.error("control_refresh_failed", code=code, reason=reason)
            self._told_s = now_s

    def _note(self, *, is_read: bool, since_ms: int | None = None) -> None:
        if is_read != (self.failing_since_ms is None):
            self.failing_since_ms = None if is_read else since_ms or _now_ms()
            self._show_reachable(is_read)
        if is_read and self._told_s is not None:
            log.warning("control_refresh_recovered")
            self._told_s = None

    def _get_ready(self, configuration: Configuration) -> None:
        try:
            self.before_swap(configuration)
        except Exception:  # a change is in effect whether or not it could be prepared
            log.exception("configuration_not_prepared")

    def _drop_segments(self) -> None:
        if self._segment_files is None:
            return
        current = [
            (one.key, one.content)
            for one in self._documents.values()
            if isinstance(one, Segment) and one.content is not None
        ]
        try:
            self._segment_files.keep_only(current)
        except EndcapError as error:
            log.error("old_segments_not_dropped", reason=error.message)

    def _open_segment(self, segment: Segment) -> Members | None:
        """Map a list once; one that cannot be read leaves the last good one in effect."""
        assert segment.unit is not None
        assert segment.content is not None
        content, members = self._segments.get(segment.key, ("", None))
        if self._segment_files is not None and content != segment.content:
            try:
                numbers = self._segment_files.open(segment.key, segment.content, segment.n_members)
            except EndcapError as error:
                log.error("segment_open_failed", key=segment.key, reason=error.message)
                return members
            members = MemberList(segment.unit, numbers)
            self._segments[segment.key] = (segment.content, members)
        return members

    def _keep(self, stored: StoredDocument) -> None:
        try:
            document = decode_document(stored)
        except msgspec.MsgspecError:
            # Written by another version of this program; the last readable state stays in effect.
            log.error("document_unreadable", kind=stored.kind, revision=stored.revision)
            return
        self._documents[stored.kind, stored.id] = document


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def decode_document(stored: StoredDocument) -> Document:
    """Turn a stored body into its struct, with the id and the revision it is stored under."""
    kind = msgspec.convert(stored.kind, DocumentKind)
    document = msgspec.json.decode(stored.body, type=DOCUMENT_TYPES[kind])
    return msgspec.structs.replace(
        document, **{ID_FIELDS[kind]: stored.id, "revision": stored.revision}
    )
