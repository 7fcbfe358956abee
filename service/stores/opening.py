"""Opens the writing side of an event store, whichever it is."""

from __future__ import annotations

from service.stores.event_log import EventLog, PostgresLog
from service.stores.events import EventStore
from service.stores.sqlite_events import SqliteEventStore


def open_event_store(log: EventLog, *, opened_ms: int, busy_timeout_ms: int = 250) -> EventStore:
    """Open a writer, which waits so long for others before it says that they hold the store.

    Raises
    ------
    StoreError
        If the store cannot be opened.
    """
    if isinstance(log, PostgresLog):
        from service.stores.postgres_events import PostgresEventStore  # noqa: PLC0415  # its driver
        from service.stores.postgres_lost import settle_lost  # noqa: PLC0415  # as above

        settle_lost(log)
        return PostgresEventStore(log, opened_ms=opened_ms, busy_timeout_ms=busy_timeout_ms)
    return SqliteEventStore(log, opened_ms=opened_ms, busy_timeout_ms=busy_timeout_ms)
