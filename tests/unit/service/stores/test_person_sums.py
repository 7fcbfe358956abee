"""A person's copy has what the running sums keep of them, also when the log has nothing left."""

from service.stores.event_log import EventLog
from service.stores.events import Batch, StoredEvent
from service.stores.opening import open_event_store
from service.stores.person_sums import read_sums
from service.stores.personal_rows import read_rows
from service.stores.retention import expire_rows
from service.stores.rollup import open_rollup
from service.stores.rollup_erasing import erase_units
from tests.unit.service.intake.samples import slate


def test_sums_of_a_person_outlive_the_rows(event_log: EventLog) -> None:
    """Ann's one page and click stay as sums, her order as a deed and an order; nothing of Ben."""
    assert not any(read_sums(event_log, ["ann"]).values())
    store = open_event_store(event_log, opened_ms=1)
    pages = [
        slate(f"x-{who}", unit_key=who, user_key=who, anonymous_key=f"{who}s-phone", at_ms=1_000)
        for who in ("ann", "ben")
    ]
    done = [
        StoredEvent("e1", 1, 2_000, 2_000, "ann", "anns-phone", item_id="p1", exposure_id="x-ann"),
        StoredEvent(
            "e2", 3, 3_000, 3_000, "ann", "anns-phone", item_id="p1", price=3.0, order_id="o1"
        ),
        StoredEvent("e3", 3, 3_000, 3_000, "ben", item_id="p1", price=4.0, order_id="o2"),
    ]
    store.commit(Batch(done, pages))
    store.close(2)
    open_rollup(event_log).close()
    expire_rows(event_log, {"exposure": 1, "click": 1}, now_ms=2 * 86_400_000)
    assert read_rows(event_log, ["ann"])["exposures"] == []

    sums = read_sums(event_log, ["ann"])

    (unit,) = sums["units"]
    assert (unit["unit_key"], unit["first_ms"]) == ("ann", 1_000)
    assert (unit["n_exposures"], unit["n_clicked"]) == (1, 1)
    (deed,) = sums["deeds"]
    assert (deed["kind"], deed["value"], deed["order_id"]) == (3, 3.0, "o1")
    (order,) = sums["orders"]
    assert (order["person_key"], order["order_key"], order["value"]) == ("ann", "order:o1", 3.0)
    assert [visit["begin_ms"] for visit in sums["visits"]] == [1_000]
    assert sums["devices"] == [{"anonymous_key": "anns-phone", "unit_key": "ann"}]
    assert len(sums["stays"]) == 1
    erase_units(event_log, ["ann", "anns-phone"])
    assert not any(read_sums(event_log, ["ann", "anns-phone"]).values())
