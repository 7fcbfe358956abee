"""Counts of requests: buckets, what is left out, and the sum over workers."""

from pathlib import Path

import pytest

from service.stores.control import ControlStore
from service.stores.service_minutes import KEPT_MS
from service.telemetry.request_tally import BOUNDS_MS, RequestTally

SERVE = ("POST", "/v1/serve")


@pytest.mark.parametrize(
    ("limit_ms", "n_slower"), [(63, 2), (79, 1), (80, 1), (80.5, 0), (100, 0), (5_000, 0)]
)
def test_own_bucket_of_a_limit_is_let_off(limit_ms: float, n_slower: int) -> None:
    """79 ms and 90 ms: between the bounds nobody knows, so nothing is held against the service."""
    tally = RequestTally()
    tally.count_page(0.079)
    tally.count_page(0.090)
    assert tally.take(1).n_slower(limit_ms) == n_slower


def test_longer_than_every_bound_is_slower_than_every_limit() -> None:
    """The last bucket has no end."""
    tally = RequestTally()
    tally.count_page(9.0)
    assert tally.take(1).n_slower(BOUNDS_MS[-1]) == 1


def test_refused_and_other_requests_are_left_out() -> None:
    """A 401 is quick and a report slow; a client that left after waiting counts, as no error."""
    tally = RequestTally()
    tally.begin(5)
    for status in (200, 304, 401, 404, 429, 499, 500, 503):
        tally.count(*SERVE, status, 0.01)
    tally.count("GET", "/v1/reports/{key}", 500, 2.0)
    tally.count("PUT", "/v1/placements/{placement_id}", 200, 0.01)
    counts = tally.take(9)
    assert (counts.n, counts.n_errors, counts.from_ms, counts.until_ms) == (5, 2, 5, 9)
    assert (tally.take(12).n, tally.take(15).from_ms) == (0, 12)


def test_minutes_of_two_workers_add_up_and_expire(tmp_path: Path) -> None:
    """Only what began after the moment asked for; after an hour the row is gone."""
    store = ControlStore(tmp_path / "control.sqlite")
    tallies = {"one": RequestTally(), "other": RequestTally()}
    try:
        for from_ms in (0, 60_000):
            for worker, tally in tallies.items():
                tally.begin(from_ms)
                tally.count(*SERVE, 500, 0.2)
                tally.count_page(0.01)
                with store.transaction() as transaction:
                    transaction.service_minutes.append(worker, tally.take(from_ms + 60_000))
        with store.transaction() as transaction:
            newest = transaction.service_minutes.sum_since(60_000, 120_000)
            both = transaction.service_minutes.sum_since(0, 120_000)
            tallies["one"].begin(120_000)
            transaction.service_minutes.append("one", tallies["one"].take(60_001 + KEPT_MS))
            left = transaction.service_minutes.sum_since(0, KEPT_MS)
    finally:
        store.close()
    assert (newest.n, newest.n_errors, newest.n_slower(100)) == (4, 2, 2)
    assert (both.n, both.n_errors) == (8, 4)
    assert left.n == 4
