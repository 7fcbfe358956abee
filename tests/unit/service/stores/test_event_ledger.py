"""The ledger adds up, and says which equation fails when it does not."""

from service.stores.event_ledger import balance, read_counters, reconcile
from service.stores.event_log import EventLog
from service.stores.events import Batch
from service.stores.lost_counts import LOST_FILE, note_lost
from service.stores.opening import open_event_store
from tests.unit.service.intake.samples import slate, view

BALANCED = {
    "received": 10,
    "accepted": 6,
    "duplicate": 3,
    "rejected": 1,
    "served": 4,
    "assigned": 4,
    "stored": 4,
}


def test_balanced_ledger() -> None:
    """10 = 6 + 3 + 1 and 4 = 4 = 4, with as many rows."""
    found = balance(BALANCED, event_rows=6, exposure_rows=4, unclosed_writers=0)
    assert found.is_balanced
    assert found.differences == []
    assert found.dropped == 0


def test_each_broken_equation_is_named() -> None:
    """A lost row, a drop and an uncounted event are each said in words."""
    counts = BALANCED | {"received": 11, "served": 5, "dropped": 1}
    found = balance(counts, event_rows=5, exposure_rows=4, unclosed_writers=0)
    assert not found.is_balanced
    assert found.differences == [
        "received 11 is not accepted + duplicate + rejected 10",
        "accepted 6 is not rows of events + archived + erased 5",
        "served 5 is not assigned 4",
    ]


def test_ledger_sums_over_writers(event_log: EventLog) -> None:
    """Two writers, one closed and one killed: their counts add, the second is told."""
    path = event_log
    assert reconcile(path).is_balanced
    first, second = open_event_store(path, opened_ms=1), open_event_store(path, opened_ms=2)
    first.commit(Batch([view("a"), view("a")], [], {"received": 2}))
    counts = {"received": 2, "rejected": 1, "served": 1, "assigned": 1}
    second.commit(Batch([view("a")], [slate("x")], counts))  # type: ignore[arg-type]  # names are right
    first.close(3)
    second.abandon()
    found = reconcile(path)
    assert (found.received, found.accepted, found.duplicate, found.rejected) == (4, 1, 2, 1)
    assert (found.served, found.assigned, found.stored) == (1, 1, 1)
    assert found.unclosed_writers == 1
    assert found.is_balanced


def test_what_a_stop_lost_is_in_the_ledger(event_log: EventLog) -> None:
    """Two servers stopped while their store took nothing; a line that was cut off counts not."""
    for _ in range(2):
        note_lost(event_log, {"served": 3, "assigned": 0, "dropped": 3}, 1)
        with event_log.with_name(LOST_FILE).open("ab") as file:
            file.write(b'{"at_ms":2,"counts":{"serv')
    found = reconcile(event_log)
    assert (found.served, found.assigned, found.dropped) == (6, 0, 6)
    assert found.differences == ["served 6 is not assigned 0"]
    assert read_counters(event_log)["dropped"] == 6
