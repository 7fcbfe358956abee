"""A person is erased everywhere, also where the store hears of them while it happens."""

from pathlib import Path

import pytest

from models.pseudonym import Pseudonymiser
from models.running_trainings import running_training
from service.privacy.control_erasure import open_control
from service.privacy.erase import Receipt, erase_person
from service.settings import Settings
from service.stores.archiving import archive_old_days
from service.stores.event_database import open_event_database
from service.stores.event_log import EventLog
from service.stores.events import Batch, StoredEvent
from service.stores.opening import open_event_store
from service.stores.personal_rows import read_rows
from service.stores.retention import DAY_MS

KEY = bytes(range(32))


def view(event_id: str, user_key: str) -> Batch:
    """Make a batch of one view."""
    return Batch([StoredEvent(event_id, 1, 5, 5, user_key, item_id="p1")])


def test_row_written_meanwhile_goes_too(event_log: EventLog, tmp_path: Path) -> None:
    """What a server still had to write when the rows were deleted is deleted after the wait."""
    pseudonymiser = Pseudonymiser(KEY)
    key = pseudonymiser.pseudonym("user_id", "u1")
    other = pseudonymiser.pseudonym("user_id", "u2")
    store = open_event_store(event_log, opened_ms=0)
    store.commit(view("e1", key))
    store.commit(view("e2", other))

    def write_late(_seconds: float) -> None:
        store.commit(view("e3", key))

    settings = Settings(home=tmp_path)
    with open_control(settings, pseudonymiser, actor="test", now_ms=lambda: 9) as control:
        receipt = erase_person(
            tmp_path,
            pseudonymiser,
            "user_id",
            "u1",
            control=control,
            events=event_log,
            wait_s=write_late,
        )
    store.close(9)

    rows = {erased.place.split(": ", 1)[-1]: erased.rows for erased in receipt.erased}
    assert rows["events"] == 1
    assert rows["events, late"] == 1
    assert receipt.is_verified, receipt.found_in
    assert not any(read_rows(event_log, [key]).values())
    assert len(read_rows(event_log, [other])["events"]) == 1


def test_training_that_runs_is_told(event_log: EventLog, tmp_path: Path) -> None:
    """It has read the person's rows, and leaves them out of what it will publish."""
    pseudonymiser = Pseudonymiser(KEY)
    open_event_store(event_log, opened_ms=0).close(9)
    key, other = (pseudonymiser.pseudonym("user_id", user) for user in ("u1", "u2"))
    settings = Settings(home=tmp_path)
    with (
        running_training(tmp_path) as erased,
        open_control(settings, pseudonymiser, actor="test", now_ms=lambda: 9) as control,
    ):
        receipt = erase_person(
            tmp_path,
            pseudonymiser,
            "user_id",
            "u1",
            control=control,
            events=event_log,
            wait_s=lambda _: None,
        )
        assert erased([key, other]) == {key}
    assert receipt.is_verified, receipt.found_in


@pytest.mark.parametrize("event_url", ["postgres"], indirect=True)
def test_log_from_before_the_move_is_to_be_put_away(event_log: EventLog, tmp_path: Path) -> None:
    """No command rewrites the old file, whose rows are not deleted; without it nothing is found."""
    pseudonymiser = Pseudonymiser(KEY)
    key = pseudonymiser.pseudonym("user_id", "u1")
    old = open_event_database(tmp_path)
    store = open_event_store(old, opened_ms=0)
    store.commit(view("e1", key))
    newest = StoredEvent("e2", 1, 99 * DAY_MS, 99 * DAY_MS, key, item_id="p1")
    store.commit(Batch([newest]))
    store.close(9)
    archive_old_days(old, 30, now_ms=100 * DAY_MS)

    def erase() -> Receipt:
        with open_control(
            Settings(home=tmp_path), pseudonymiser, actor="test", now_ms=lambda: 9
        ) as control:
            return erase_person(
                tmp_path,
                pseudonymiser,
                "user_id",
                "u1",
                control=control,
                events=event_log,
                wait_s=lambda _: None,
            )

    receipt = erase()
    assert not receipt.is_verified
    assert receipt.left_to_you[0].startswith("archive and events.sqlite")
    assert "outside of the home" in receipt.left_to_you[0]
    assert not any("events compact" in each for each in receipt.left_to_you)
    for name in ("archive", *(each.name for each in tmp_path.glob("*.sqlite*"))):
        if name.startswith(("archive", "events", "rollup", "banners")):
            (tmp_path / name).rename(tmp_path.parent / f"{tmp_path.name}-{name}")
    again = erase()
    assert again.is_verified, again.found_in
    assert not any("outside of the home" in each for each in again.left_to_you)
