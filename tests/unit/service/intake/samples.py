"""Events and exposures for tests, and an intake over a real file."""

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from service.exposure import Exposure, Shown
from service.intake.exposure_queue import ExposureQueue
from service.intake.pending import EventWriter
from service.intake.writer import LINGER_S, StoreWriter
from service.stores.event_database import open_event_database
from service.stores.events import Counts, EventStore, NumberedEvent, StoredEvent
from service.stores.sqlite_events import SqliteEventStore

OpenStore = Callable[[Path], EventStore]


def view(event_id: str, **fields: object) -> StoredEvent:
    """Make a view of item p1 by user u, at 1,000 ms."""
    row = StoredEvent(event_id, 0, 1_000, 1_000, user_key="u", item_id="p1")
    return row._replace(**fields)  # type: ignore[arg-type]  # one dict for every field


def slate(exposure_id: str, **fields: object) -> Exposure:
    """Make an exposure of items p1 and p2 to unit u in rollout r, control, epoch 1."""
    values: dict[str, object] = {
        "exposure_id": exposure_id,
        "request_id": "request",
        "at_ms": 1_000,
        "unit_kind": "user_id",
        "unit_key": "u",
        "user_key": "u",
        "anonymous_key": None,
        "session_key": None,
        "placement_id": "home_recs",
        "kind": "items",
        "recipe": "for_you",
        "tier": "popular",
        "degraded": None,
        "rollout_key": "r",
        "variant": "control",
        "reason": "SPLIT",
        "epoch": 1,
        "model_version": None,
        "country": None,
        "channel": None,
        "platform": None,
        "page": None,
        "shown": tuple(
            Shown(id=item, position=i, source="graph", propensity=1.0)
            for i, item in enumerate(("p1", "p2"), 1)
        ),
    }
    return Exposure(**(values | fields))  # type: ignore[arg-type]  # one dict for every field


def open_store(path: Path) -> SqliteEventStore:
    """Open a store that says soon that another process holds its lock."""
    return SqliteEventStore(path, opened_ms=1, busy_timeout_ms=20)


class Bench:
    """The writing side of intake over a real store, with its counters and a hand on its clock."""

    def __init__(
        self,
        home: Path,
        *,
        max_pending: int = 1_000,
        store: OpenStore = open_store,
        linger_s: float = LINGER_S,
        packs: bool = False,
    ) -> None:
        self.path = open_event_database(home)
        self.counts: Counter[str] = Counter()
        self.added: list[NumberedEvent] = []
        self.lost: list[Counts] = []
        bell = threading.Condition()
        self.events = EventWriter(bell, max_pending=max_pending)
        self.exposures = ExposureQueue(count=self.count, max_pending=max_pending, packs=packs)
        self.store = store(self.path)
        self.writer = StoreWriter(
            self.store,
            events=self.events,
            exposures=self.exposures,
            bell=bell,
            count=self.count,
            on_commit=self.added.extend,
            now_ms=lambda: 2,
            linger_s=linger_s,
            note_lost=self.lost.append,
        )

    def count(self, name: str, n: int) -> None:
        """Take a live counter."""
        self.counts[name] += n
