"""From a wire event to its stored row: pseudonyms, time, flags, consent."""

from datetime import datetime, timedelta, timezone

import msgspec
import pytest

from models.events import Event
from models.pseudonym import Pseudonymiser
from service.intake.identify import FieldError, store_form
from service.stores.event_schema import RENDERED, VIEWABLE, EventFlag
from service.stores.events import StoredEvent

NOW_MS = 1_800_000_000_000
PSEUDONYMISER = Pseudonymiser(b"k" * 32)


def stored(behind_ms: int = 0, **fields: object) -> StoredEvent:
    """Store a view of item p1 with these fields changed."""
    event = {"event": "view", "event_id": "e1", "item_id": "p1"} | fields
    event = {name: value for name, value in event.items() if value is not None}
    return store_form(
        msgspec.convert(event, Event, strict=True),
        pseudonymiser=PSEUDONYMISER,
        received_ms=NOW_MS,
        behind_ms=behind_ms,
    )


def test_ids_of_people_become_pseudonyms() -> None:
    """User, visitor and session are hashed each in its name space; the item stays as it is."""
    row = stored(user_id="7", anonymous_id="7", session_id="7")
    assert row.user_key == PSEUDONYMISER.pseudonym("user_id", "7")
    assert row.anonymous_key == PSEUDONYMISER.pseudonym("anonymous_id", "7")
    assert row.session_key == PSEUDONYMISER.pseudonym("session_id", "7")
    assert row.item_id == "p1"
    assert "7" not in row


def test_no_consent_leaves_no_key() -> None:
    """Without consent neither person nor order can be told from the row, which is flagged."""
    row = stored(
        event="purchase",
        user_id="u",
        anonymous_id="a",
        session_id="s",
        order_id="o",
        price=2.0,
        consent=False,
    )
    assert (row.user_key, row.anonymous_key, row.session_key, row.order_id) == (None,) * 4
    assert (row.item_id, row.price) == ("p1", 2.0)
    assert row.flags == EventFlag.NO_CONSENT


@pytest.mark.parametrize(
    ("timestamp", "at_ms"),
    [
        (None, NOW_MS),
        (1_799_999_999_000, 1_799_999_999_000),
        (datetime.fromisoformat("2027-01-15T09:00:00+01:00"), 1_800_000_000_000),
    ],
)
def test_time_is_epoch_ms(timestamp: object, at_ms: int) -> None:
    """Absent is the arrival, a number is epoch ms, an offset counts: 09:00+01:00 is 08:00Z."""
    assert stored(timestamp=timestamp).at_ms == at_ms


@pytest.mark.parametrize(
    ("offset_ms", "flags"),
    [
        (0, 0),
        (-7 * 86_400_000, 0),
        (-7 * 86_400_000 - 1, EventFlag.LATE),
        (5 * 60_000, 0),
        (5 * 60_000 + 1, EventFlag.FUTURE),
    ],
)
def test_odd_time_is_flagged_and_kept(offset_ms: int, flags: int) -> None:
    """More than seven days old or five minutes ahead is kept as told, with a flag."""
    row = stored(timestamp=NOW_MS + offset_ms)
    assert (row.at_ms, row.flags) == (NOW_MS + offset_ms, flags)


def test_time_without_offset_is_refused_with_a_hint() -> None:
    """A naive time would be read differently on each machine; the message says what to send."""
    with pytest.raises(FieldError, match="write 2027-01-15T09:00:00Z") as caught:
        stored(timestamp=datetime(2027, 1, 15, 9))
    assert caught.value.name == "timestamp"


@pytest.mark.parametrize(
    "timestamp",
    [10**17, -1, datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))), 2**80],
)
def test_time_outside_the_calendar_is_refused(timestamp: datetime | int) -> None:
    """Such a moment is a mistake, and no file that is exported could hold it."""
    with pytest.raises(FieldError, match="not of the years 1970 to 9999"):
        stored(timestamp=timestamp)


@pytest.mark.parametrize("sent_at", [NOW_MS - 600_000, datetime.fromisoformat("2027-01-15T07:50Z")])
def test_time_of_a_clock_behind_is_put_right(sent_at: object) -> None:
    """Ten minutes are added to a time that is ten minutes behind, and nothing to the arrival."""
    assert stored(600_000, timestamp=sent_at).at_ms == NOW_MS
    assert stored(600_000, timestamp=None).at_ms == NOW_MS
    with pytest.raises(FieldError, match="not of the years 1970 to 9999"):
        stored(-NOW_MS, timestamp=0)


@pytest.mark.parametrize("timestamp", [0, 1_800_000_000, 20_260_801, 315_532_799_999])
def test_number_that_is_no_epoch_ms_is_refused(timestamp: int) -> None:
    """In seconds it would be of today; stored as it stands it would count nowhere."""
    with pytest.raises(FieldError, match="multiply seconds by 1000") as caught:
        stored(timestamp=timestamp)
    assert caught.value.name == "timestamp"


def test_device_that_has_lost_its_clock_is_heard() -> None:
    """It says that it is 1970: with when it sent that is put right, and without it is kept."""
    minute_ms = 60_000
    assert stored(NOW_MS - minute_ms, timestamp=minute_ms).at_ms == NOW_MS
    began = datetime.fromisoformat("1970-01-01T00:01Z")
    assert stored(timestamp=began).at_ms == minute_ms
    assert stored(timestamp=315_532_800_000).at_ms == 315_532_800_000


def test_ids_are_counted_in_bytes() -> None:
    """128 two-byte letters are 256 bytes and fit; 129 do not."""
    assert stored(item_id="é" * 128).item_id == "é" * 128
    with pytest.raises(FieldError, match="258 bytes") as caught:
        stored(item_id="é" * 129)
    assert caught.value.name == "item_id"


def test_id_with_nul_is_refused() -> None:
    """C programs down the line would cut the id there."""
    with pytest.raises(FieldError, match="NUL") as caught:
        stored(item_id="a\0b")
    assert caught.value.name == "item_id"


@pytest.mark.parametrize(("grade", "kind"), [("rendered", RENDERED), ("viewable", VIEWABLE)])
def test_grades_of_an_exposure_have_their_own_kinds(grade: str, kind: int) -> None:
    """A report of a slate names no item, but its exposure."""
    row = stored(event="exposure", item_id=None, exposure_id="x", grade=grade)
    assert (row.kind, row.item_id, row.exposure_id) == (kind, None, "x")


def test_banner_click_and_refund_keep_their_fields() -> None:
    """A click may name a banner; a refund has a positive quantity, a price and an order."""
    click = stored(event="click", item_id=None, banner_id="b")
    assert (click.item_id, click.banner_id, click.quantity) == (None, "b", None)
    refund = stored(event="refund", quantity=2, price=3.5, order_id="o")
    assert (refund.quantity, refund.price, refund.order_id) == (2.0, 3.5, "o")


@pytest.mark.parametrize("name", ["country", "channel", "platform", "variant"])
def test_text_with_a_nul_is_refused(name: str) -> None:
    """SQLite would store it and PostgreSQL never, so a log with one could not be moved."""
    event = {"event": "exposure", "exposure_id": "x", "grade": "rendered", "item_id": None}
    fields: dict[str, object] = {**event, name: "D\0E"}
    with pytest.raises(FieldError, match="NUL") as caught:
        stored(0, **fields)
    assert caught.value.name == name
