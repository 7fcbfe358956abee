"""A person who was more visitors than a statement takes values is found and erased all the same."""

from pathlib import Path

from service.stores.event_database import open_event_database
from service.stores.events import Batch, StoredEvent
from service.stores.opening import open_event_store
from service.stores.person_sums import read_sums
from service.stores.personal_rows import delete_rows, read_rows
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
