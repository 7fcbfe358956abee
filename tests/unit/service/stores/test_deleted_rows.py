"""The ledger counts a deleted row once, however many processes wanted it gone."""

from typing import Any

import pytest

from service.stores.event_database import connect
from service.stores.event_ledger import reconcile
from service.stores.event_log import Database, EventLog
from service.stores.events import Batch, StoredEvent
from service.stores.opening import open_event_store
from service.stores.personal_rows import delete_rows


class Overtaken:
    """A connection that is overtaken by another erasure before it gets the write lock."""

    def __init__(self, connection: Database, log: EventLog) -> None:
        self._connection = connection
        self._log = log

    def execute(self, sql: str, *parameters: Any) -> Any:
        """Run a statement, after the other erasure if it begins to write."""
        if sql == "BEGIN IMMEDIATE":
            delete_rows(self._log, ["her"])
        return self._connection.execute(sql, *parameters)

    def __getattr__(self, name: str) -> Any:
        """Do everything else as the connection does."""
        return getattr(self._connection, name)


def test_two_erasures_at_once_count_a_row_once(
    event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both find three rows; the one that comes later deletes none and says so."""
    store = open_event_store(event_log, opened_ms=1)
    events = [StoredEvent(f"e{i}", 0, 5, 5, "her", item_id="p1") for i in range(3)]
    store.commit(Batch(events, [], {"received": 3}))
    store.close(2)

    def connect_once(log: EventLog) -> Overtaken:
        monkeypatch.setattr("service.stores.personal_rows.connect", connect)
        return Overtaken(connect(log), log)

    monkeypatch.setattr("service.stores.personal_rows.connect", connect_once)
    later = delete_rows(event_log, ["her"])

    assert set(later.values()) == {0}
    found = reconcile(event_log)
    assert (found.event_rows, found.erased_events) == (0, 3)
    assert found.is_balanced, found.differences
