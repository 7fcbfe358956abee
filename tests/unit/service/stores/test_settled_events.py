"""Which new events may be added up: what it costs to tell."""

import pytest

from service.stores.event_database import SqliteConnection
from service.stores.event_log import EventLog
from service.stores.events import Batch, StoredEvent
from service.stores.opening import open_event_store
from service.stores.rollup import open_rollup
from service.stores.settled_events import ALL, last_settled
from tests.unit.service.intake.samples import slate


@pytest.mark.parametrize("event_url", ["sqlite"], indirect=True)
def test_exposures_are_looked_up_only_where_one_may_be_new(event_log: EventLog) -> None:
    """Of 200 old clicks none looks for its exposure if all are added up; with one left, each does.

    A row that looks takes SQLite 24 steps, one that does not 11.
    """
    store = open_event_store(event_log, opened_ms=1)
    clicks = [
        StoredEvent(f"e{i}", 1, 2_000, 2_000, item_id="p1", exposure_id=f"x{i}") for i in range(200)
    ]
    store.commit(Batch(clicks, [slate(f"x{i}") for i in range(200)]))
    sums = open_rollup(event_log, max_new=0)
    assert isinstance(sums, SqliteConnection)
    steps = [0]

    def count() -> int:
        steps[0] += 1
        return 0

    def cost(shown: int, settled: int) -> int:
        steps[0] = 0
        assert last_settled(sums, 0, 200, 9_000, shown=shown) == settled
        return steps[0]

    sums.set_progress_handler(count, 1)
    some_left = cost(199, 199)
    assert cost(200, 200) < 0.7 * some_left
    assert cost(ALL, 200) < 0.7 * some_left
    sums.close()
    store.close(2)
