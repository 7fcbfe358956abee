"""Logs of banners for tests: exposures and clicks, written as intake writes them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from pathlib import Path

from service.exposure import Exposure, Shown
from service.stores.event_database import open_event_database
from service.stores.events import Batch, StoredEvent
from service.stores.sqlite_events import SqliteEventStore
from tests.unit.service.intake.samples import slate

_numbers = count(1)


def banner_slate(
    exposure_id: str,
    *banner_ids: str,
    source: str = "affinity",
    fit: str | None = None,
    **fields: object,
) -> Exposure:
    """Make an exposure of banners in the placement `hero`."""
    shown = tuple(
        Shown(id=one, position=i, source=source, propensity=1.0, fit=fit)
        for i, one in enumerate(banner_ids, 1)
    )
    return slate(
        exposure_id, **{"kind": "banners", "placement_id": "hero", "shown": shown, **fields}
    )


def done(
    kind: int, exposure_id: str, banner_id: str | None = None, **fields: object
) -> StoredEvent:
    """Make a click (1), or a report of `rendered` (16) or `viewable` (17)."""
    row = StoredEvent(
        f"e{next(_numbers)}", kind, 1_000, 1_000, exposure_id=exposure_id, banner_id=banner_id
    )
    return row._replace(**fields)  # type: ignore[arg-type]  # one dict for every field


def write_log(
    home: Path, exposures: Iterable[Exposure] = (), events: Iterable[StoredEvent] = ()
) -> Path:
    """Store exposures and events in the event store of a home; return its path."""
    path = open_event_database(home)
    store = SqliteEventStore(path, opened_ms=1)
    store.commit(Batch(events=tuple(events), exposures=tuple(exposures)))
    store.close(2)
    return path
