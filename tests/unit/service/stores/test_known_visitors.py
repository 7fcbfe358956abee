"""Visitors out of exposures: since a moment, the newest first, at most so many."""

from service.stores.event_log import EventLog
from service.stores.events import Batch
from service.stores.known_visitors import read_known_visitors
from service.stores.opening import open_event_store
from tests.unit.service.intake.samples import slate


def test_visitors_since_a_moment(event_log: EventLog) -> None:
    """Ten exposures of five units, a second apart: what is old, or above the bound, is left out."""
    path = event_log
    store = open_event_store(path, opened_ms=1)
    exposures = [slate(f"e{n}", at_ms=n * 1_000, unit_key=f"u{n // 2}") for n in range(10)]
    store.commit(Batch(exposures=exposures))
    store.close(2)
    whole = read_known_visitors(path, since_ms=0, max_exposures=99)
    assert [one.unit_key for one in whole.visitors] == ["u4", "u3", "u2", "u1", "u0"]
    assert (whole.n_read, whole.n_since) == (10, 10)
    recent = read_known_visitors(path, since_ms=6_000, max_exposures=99)
    assert [one.unit_key for one in recent.visitors] == ["u4", "u3"]
    assert (recent.n_read, recent.n_since) == (4, 4)
    bounded = read_known_visitors(path, since_ms=2_000, max_exposures=3)
    assert (bounded.n_read, bounded.n_since) == (3, 8)
    assert read_known_visitors(path, since_ms=99_000, max_exposures=3).visitors == []


def test_store_without_exposures_knows_nobody(event_log: EventLog) -> None:
    """A new store has read nothing of nothing."""
    known = read_known_visitors(event_log, since_ms=0, max_exposures=9)
    assert known == ([], 0, 0)
