"""A person who was more visitors than a statement takes values is found and erased all the same."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from service.stores import personal_rows
from service.stores.event_database import connect, open_event_database
from service.stores.event_ledger import reconcile
from service.stores.event_log import Database, EventLog
from service.stores.events import Batch, StoredEvent
from service.stores.opening import open_event_store
from service.stores.person_sums import read_sums
from service.stores.personal_rows import delete_rows, keys_of, read_rows
from service.stores.rollup import open_rollup
from service.stores.rollup_erasing import erase_units
from tests.unit.service.intake.samples import slate


def test_person_of_very_many_visitors_is_found_and_erased(tmp_path: Path) -> None:
    """Rows with two of the pseudonyms count once, the oldest come first, others stay."""
    event_log = open_event_database(tmp_path)
    # In three columns these are more than the 250,000 values that Debian lets SQLite take.
    keys = [f"visitor-{number}" for number in range(84_000)]
    first, last = keys[0], keys[-1]
    store = open_event_store(event_log, opened_ms=1)
    done = [
        StoredEvent("e1", 3, 1, 1, last, first, item_id="p", price=3.0, order_id="o1"),
        StoredEvent("e2", 0, 2, 2, "ben", item_id="p"),
        StoredEvent("e3", 3, 3, 3, first, item_id="p", price=4.0, order_id="o2"),
    ]
    page = slate("x1", unit_key=last, user_key=last, anonymous_key=first, at_ms=1)
    store.commit(Batch(done, [page]))
    store.close(2)
    open_rollup(event_log).close()
    rows, sums = read_rows(event_log, keys), read_sums(event_log, keys)
    assert [row["event_id"] for row in rows["events"]] == ["e1", "e3"]
    assert len(rows["exposures"]) == 1
    assert [row["order_key"] for row in sums["orders"]] == ["order:o1", "order:o2"]
    assert len(sums["units"]) == 1
    deleted = delete_rows(event_log, keys)
    assert (deleted["events"], deleted["exposures"]) == (2, 1)
    assert erase_units(event_log, keys) > 0
    theirs = [first, last]
    assert not any([*read_rows(event_log, theirs).values(), *read_sums(event_log, theirs).values()])
    assert len(read_rows(event_log, ["ben"])["events"]) == 1


class Counting:
    """A connection that counts what it is asked."""

    def __init__(self, connection: Database) -> None:
        self._connection = connection
        self.n_statements = 0

    def execute(self, *asked: Any) -> Any:
        """Count a statement, and run it."""
        self.n_statements += 1
        return self._connection.execute(*asked)

    def close(self) -> None:
        """Close it."""
        self._connection.close()


def test_statements_are_as_many_for_many_visitors(
    event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them may read a table from end to end, so one for each visitor takes for ever."""
    store = open_event_store(event_log, opened_ms=1)
    for user, n_visitors in (("ann", 2), ("ben", 200)):
        visitors = [f"{user}-{number:03}" for number in range(n_visitors)]
        seen = [StoredEvent(one, 0, 5, 5, user, one, item_id="p") for one in visitors]
        shown = [
            slate(f"x-{one}", unit_key=one, user_key=user, anonymous_key=one, at_ms=5)
            for one in visitors
        ]
        store.commit(Batch(seen, shown))
    store.commit(Batch([StoredEvent("shared", 0, 5, 5, "ann", "ben-199", item_id="p")]))
    store.close(9)
    opened: list[Counting] = []

    def connect_counting(log: EventLog, **options: Any) -> Counting:
        opened.append(Counting(connect(log, **options)))
        return opened[-1]

    monkeypatch.setattr(personal_rows, "connect", connect_counting)
    assert keys_of(event_log, "ann") == ["ann", "ann-000", "ann-001"]
    theirs = keys_of(event_log, "ben")
    assert theirs == ["ben", *(f"ben-{number:03}" for number in range(199))]
    assert len(read_rows(event_log, ["ann", "ann-000", "ann-001"])["events"]) == 3
    assert len(read_rows(event_log, theirs)["events"]) == 200
    assert opened[0].n_statements == opened[1].n_statements
    assert opened[2].n_statements == opened[3].n_statements


def test_others_write_between_the_rows_that_are_deleted(
    event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of five at a time: who has taken an event in waits for two, and all are counted."""
    store = open_event_store(event_log, opened_ms=1)
    events = [StoredEvent(f"e{number}", 0, 5, 5, "ann", item_id="p") for number in range(5)]
    store.commit(Batch(events, counts={"received": 5}))
    left: list[int] = []

    def write(_seconds: float) -> None:
        name = f"late{len(left)}"
        one = StoredEvent(name, 0, 6, 6, "ben", item_id="p")
        assert store.commit(Batch([one], counts={"received": 1})).is_new == [True]
        left.append(len(read_rows(event_log, ["ann"])["events"]))

    monkeypatch.setattr(personal_rows, "AT_ONCE", 2)
    monkeypatch.setattr(personal_rows, "time", SimpleNamespace(sleep=write))
    assert delete_rows(event_log, ["ann"])["events"] == 5
    store.close(9)
    assert left == [3, 1]
    assert len(read_rows(event_log, ["ben"])["events"]) == 2
    ledger = reconcile(event_log)
    assert (ledger.is_balanced, ledger.erased_events) == (True, 5), ledger.differences
