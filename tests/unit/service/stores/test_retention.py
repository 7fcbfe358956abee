"""Old rows go by kind, and nothing else changes."""

import pytest

from models.errors import ConfigError
from service.stores.event_ledger import reconcile
from service.stores.event_log import EventLog
from service.stores.events import Batch, Counts
from service.stores.opening import open_event_store
from service.stores.outcomes import read_outcomes
from service.stores.retention import DAY_MS, expire_rows, read_limits
from tests.unit.service.intake.samples import slate, view


def test_old_rows_of_a_kind_go(event_log: EventLog) -> None:
    """On day 100 views are kept for 30 days and exposures for 60: one of each two goes.

    A click as old as the view stays. The report counts both exposures as before, and the ledger
    adds up.
    """
    path = event_log
    old, new = 10 * DAY_MS, 90 * DAY_MS
    store = open_event_store(path, opened_ms=1)
    events = [
        view("v1", received_ms=old),
        view("v2", received_ms=new),
        view("c1", received_ms=old, kind=1),
    ]
    exposures = [slate("x1", at_ms=old), slate("x2", at_ms=new)]
    counts: Counts = {"received": 3, "served": 2, "assigned": 2}
    store.commit(Batch(events, exposures, counts))
    store.close(2)
    deleted = expire_rows(path, {"view": 30, "exposure": 60}, now_ms=100 * DAY_MS)
    assert deleted == {"view": 1, "exposure": 1}
    found = reconcile(path)
    assert (found.event_rows, found.exposure_rows) == (2, 1)
    assert found.is_balanced, found.differences
    (arm,) = read_outcomes(path, "r").arms
    assert arm.n_exposures == 2


def test_old_purchases_leave_the_running_sums_too(event_log: EventLog) -> None:
    """Of two orders the old one goes from the rows and from the report."""
    path = event_log
    old, new = 10 * DAY_MS, 90 * DAY_MS
    store = open_event_store(path, opened_ms=1)
    orders = [view(f"o{at}", kind=3, at_ms=at, received_ms=at, price=1.0) for at in (old, new)]
    store.commit(Batch(orders, [slate("x1")]))
    store.close(2)
    assert read_outcomes(path, "r").arms[0].n_orders == 2
    assert expire_rows(path, {"purchase": 30}, now_ms=100 * DAY_MS) == {"purchase": 1}
    assert read_outcomes(path, "r").arms[0].n_orders == 1


def test_limits_name_a_kind_and_days() -> None:
    """Both halves are checked, and the message names what is known."""
    assert read_limits(["view=90", "exposure=400"]) == {"view": 90, "exposure": 400}
    with pytest.raises(ConfigError, match=r"known: .*exposure"):
        read_limits(["views=90"])
    for wrong in ("view", "view=0", "view=-1", "view=²"):
        with pytest.raises(ConfigError, match="whole days"):
            read_limits([wrong])
