"""What serving reads of visitors is the same of either store."""

from collections.abc import Iterator

import pytest

from service.exposure import Shown
from service.stores.banner_views import BannerView, BannerViewReader
from service.stores.event_log import EventLog
from service.stores.event_reads import EventReader, InteractionRow, KeyedRow
from service.stores.event_schema import RENDERED
from service.stores.events import Batch
from service.stores.identities import IdentityStore, PersonRow, UnitRow
from service.stores.opening import open_event_store
from tests.unit.service.intake.samples import slate, view


def commit(log: EventLog, batch: Batch) -> None:
    """Write with a writer of its own."""
    store = open_event_store(log, opened_ms=1)
    store.commit(batch)
    store.close(2)


@pytest.fixture
def identities(event_log: EventLog) -> Iterator[IdentityStore]:
    """Open the store of identities."""
    store = IdentityStore(event_log)
    yield store
    store.close()


def test_newest_interactions_are_read_by_key(event_log: EventLog) -> None:
    """Of three views and a report, by user and by visitor: the newest first, and in one answer."""
    commit(
        event_log,
        Batch(
            [
                view("e1", at_ms=5, anonymous_key="v", item_id="it's"),
                view("e2", at_ms=7, anonymous_key="v", item_id="p2", kind=3),
                view("e3", at_ms=6, received_ms=3, user_key=None, anonymous_key="w"),
                view("e4", kind=RENDERED, item_id=None),
            ]
        ),
    )
    reader = EventReader(event_log)
    newest = [InteractionRow(2, 3, "p2", 7), InteractionRow(1, 0, "it's", 5)]
    assert reader.newest("user_key", "u", 9) == newest
    assert reader.newest("anonymous_key", "v", 1) == newest[:1]
    found = reader.newest_of("anonymous_key", ["w", "nobody", "v"], 9)
    assert found == [[InteractionRow(3, 0, "p1", 3)], [], newest]
    assert reader.newest_of("user_key", [], 9) == []
    assert reader.since(1, 2) == (
        [KeyedRow(2, 3, "p2", 7, "u", "v"), KeyedRow(3, 0, "p1", 3, None, "w")],
        3,
    )
    assert reader.since(3, 9) == ([], 4)
    assert reader.since(4, 9) == ([], 4)
    assert reader.last_seq() == 4
    reader.close()


def test_what_came_later_was_not_known_then(event_log: EventLog) -> None:
    """Asked as of a moment, an event that arrived after it is not there."""
    commit(event_log, Batch([view("e1", received_ms=5), view("e2", received_ms=9)]))
    reader = EventReader(event_log, until_ms=5)
    assert [row.seq for row in reader.newest("user_key", "u", 9)] == [1]
    assert [row.seq for row in reader.newest_of("user_key", ["u"], 9)[0]] == [1]
    reader.close()


def test_visitor_who_signs_in_stays_who_they_were(
    event_log: EventLog, identities: IdentityStore
) -> None:
    """Dealt as visitor v, user u is v for good; on a second device, the two units are linked."""
    seen = {"unit_kind": "anonymous_id", "user_key": None}
    commit(
        event_log,
        Batch(
            exposures=[
                slate("x1", unit_key="v", anonymous_key="v", **seen),
                slate("x2", unit_key="w", anonymous_key="w", **seen),
            ]
        ),
    )
    before = identities.last_rows()
    assert identities.is_noted("u", "v")
    assert not identities.is_noted("stranger", "device")
    v, w = UnitRow("anonymous_id", "v"), UnitRow("anonymous_id", "w")
    pairs = [("stranger", "device"), ("u", "v"), ("u", "w"), (None, "w")]
    assert identities.settle_all(pairs, 7) == [
        PersonRow(UnitRow("user_id", "stranger"), []),
        PersonRow(v, []),
        PersonRow(v, [w]),
        PersonRow(w, [v]),
    ]
    assert identities.settle("u", None, 8) == PersonRow(v, [w])
    news = identities.news_since(before)
    assert (news.user_keys, news.linked_keys) == ({"u"}, {"v", "w"})
    assert identities.news_since(news.last).user_keys == set()


def test_banners_that_a_unit_saw(event_log: EventLog) -> None:
    """Of two slates of banners and one of items, by unit and since a row."""
    shown = (Shown(id="b", position=1, source="static", propensity=1.0),)
    commit(
        event_log,
        Batch(
            exposures=[
                slate("x1", kind="banners", shown=shown, at_ms=1),
                slate("x2"),
                slate("x3", kind="banners", shown=shown, at_ms=5, unit_key="other"),
            ]
        ),
    )
    reader = BannerViewReader(event_log)
    assert reader.newest("u", 0) == [BannerView("x1", 1, "b")]
    assert reader.newest("u", 2) == []
    assert reader.since(1, {"u", "other"}) == ([("other", [BannerView("x3", 5, "b")])], 3)
    assert reader.last_seq() == 3
    reader.close()
