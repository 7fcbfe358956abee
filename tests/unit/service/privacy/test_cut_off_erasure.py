"""An erasure that was cut off is finished by the next one, with all that was the person's."""

from pathlib import Path

import pytest

from models.errors import StoreError
from models.pseudonym import Pseudonymiser
from service.privacy import erase
from service.privacy.control_erasure import open_control
from service.privacy.erase import Receipt, erase_person, search
from service.settings import Settings
from service.stores.erasures import ErasureReader, announce, begin, begun, end, withdraw
from service.stores.event_log import EventLog
from service.stores.events import Batch, StoredEvent
from service.stores.opening import open_event_store
from service.stores.rollup import open_rollup
from service.stores.rollup_erasing import erase_units

HIDE = Pseudonymiser(bytes(range(32)))
HER = HIDE.pseudonym("user_id", "her")
PHONE = HIDE.pseudonym("anonymous_id", "her-phone")
OTHER = HIDE.pseudonym("user_id", "other")


def ask(home: Path, events: EventLog) -> Receipt:
    """Erase her."""
    settings = Settings(home=home)
    with open_control(settings, HIDE, actor="test", now_ms=lambda: 9) as control:
        return erase_person(
            home, HIDE, "user_id", "her", control=control, events=events, wait_s=lambda _: None
        )


def test_next_erasure_knows_the_devices_of_one_that_was_cut_off(
    event_log: EventLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Her rows are gone when the sums cannot be written; asked again, her phone's sums go too."""
    store = open_event_store(event_log, opened_ms=0)
    store.commit(
        Batch(
            [
                StoredEvent("e1", 3, 5, 5, HER, PHONE, item_id="p1", price=2.0),
                StoredEvent("e2", 3, 6, 6, None, PHONE, item_id="p2", price=3.0),
                StoredEvent("e3", 3, 7, 7, OTHER, None, item_id="p2", price=3.0),
            ]
        )
    )
    store.close(9)
    open_rollup(event_log).close()

    def fail(_events: EventLog, _keys: list[str]) -> int:
        raise StoreError("no room")

    monkeypatch.setattr(erase, "erase_units", fail)
    with pytest.raises(StoreError, match="no room"):
        ask(tmp_path, event_log)
    monkeypatch.setattr(erase, "erase_units", erase_units)

    receipt = ask(tmp_path, event_log)

    assert sorted(receipt.pseudonyms) == sorted([HER, PHONE])
    assert receipt.is_verified, receipt.found_in
    rollup = open_rollup(event_log, max_new=0)
    kept = {key for (key,) in rollup.execute("SELECT key FROM keys").fetchall()}
    rollup.close()
    assert kept == {OTHER}
    assert search(tmp_path, [HER, PHONE]) == []
    assert ask(tmp_path, event_log).pseudonyms == [HER]


def test_begun_erasure_is_its_person_s_alone(event_log: EventLog) -> None:
    """Workers hear nothing of it, and another person's erasure neither reads nor ends it."""
    reader = ErasureReader(event_log)
    begin(event_log, [HER, PHONE], 5)
    assert reader.read_new() == []
    withdraw(event_log, announce(event_log, [OTHER], 6))
    assert begun(event_log, OTHER) == []
    assert begun(event_log, PHONE) == []
    end(event_log, OTHER)
    assert begun(event_log, HER) == sorted([HER, PHONE])
    end(event_log, HER)
    assert begun(event_log, HER) == []
    reader.close()
