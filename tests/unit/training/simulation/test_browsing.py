"""Simulated visits: they send what a page would send, click by the truth, and count it."""

import asyncio

import msgspec
import numpy as np
import pytest

from models.events import Event
from tests.unit.training.simulation.fake_shop import FakeService, open_shop
from training.simulation.browsing import MAX_PAGES, Browsing, Visit, browse
from training.simulation.traffic import Pace, send_visitors
from training.simulation.world import BANNER_UTILITY, UNKNOWN_ROW, World


def _visit(shop: Browsing, n_visits: int, is_anonymous: bool = False) -> None:
    async def visits() -> None:
        for number in range(n_visits):
            rng = np.random.default_rng(number)
            row = number % len(shop.world.shoppers)
            await browse(shop, Visit(f"v{number}", row, 0, is_anonymous, rng))

    asyncio.run(visits())


def test_visits_send_events_that_the_service_can_read(small_world: World) -> None:
    """Every event of many visits is one of the wire's union, with an id of its own."""
    service = FakeService(small_world)
    _visit(open_shop(small_world, service), 200)
    decoded = [msgspec.convert(event, Event) for event in service.events]
    kinds = {event["event"] for event in service.events}
    assert kinds == {"exposure", "click", "view", "add_to_cart", "purchase"}
    assert len({event.event_id for event in decoded}) == len(decoded)


def test_visits_click_only_what_their_exposure_showed(small_world: World) -> None:
    """A click names the exposure that held its item or banner."""
    service = FakeService(small_world)
    _visit(open_shop(small_world, service), 300)
    clicks = [event for event in service.events if event["event"] == "click"]
    assert any("banner_id" in click for click in clicks)
    for click in clicks:
        shown = service.exposures[click["exposure_id"]]
        assert (click.get("item_id") or click["banner_id"]) in shown


def test_visits_see_what_they_click(small_world: World) -> None:
    """Every slate that shows something is drawn and then seen, once each; so no click is unseen."""
    service = FakeService(small_world)
    _visit(open_shop(small_world, service), 100)
    grades: dict[str, list[str]] = {}
    for event in service.events:
        if event["event"] == "exposure":
            grades.setdefault(event["exposure_id"], []).append(event["grade"])
        elif event["event"] == "click":
            assert grades[event["exposure_id"]] == ["rendered", "viewable"]
    assert grades.keys() == service.exposures.keys()


def test_visits_begin_at_home_and_end(small_world: World) -> None:
    """The first page of a visit is the home page, and none has more than the most pages."""
    service = FakeService(small_world)
    _visit(open_shop(small_world, service), 100)
    per_visit: dict[str, list[str]] = {}
    for page in service.pages:
        per_visit.setdefault(page["user"]["session_id"], []).append(page["context"]["page"])
    assert len(per_visit) == 100
    assert all(pages[0] == "home" for pages in per_visit.values())
    assert 1 < max(map(len, per_visit.values())) <= MAX_PAGES


def test_anonymous_visits_never_name_the_user(small_world: World) -> None:
    """Who does not sign in is known by the anonymous id only, on pages and in events."""
    service = FakeService(small_world)
    _visit(open_shop(small_world, service), 50, is_anonymous=True)
    assert all("user_id" not in page["user"] for page in service.pages)
    assert all("user_id" not in event for event in service.events)
    assert all(event["anonymous_id"] for event in service.events)


def test_visits_count_the_truth_of_the_rollout_per_arm(small_world: World) -> None:
    """Each home_recs slate of the split counts in its arm, with what it was expected to earn."""
    service = FakeService(small_world)
    shop = open_shop(small_world, service)
    _visit(shop, 40)
    truth = shop.counters.truth
    assert truth.newest_epoch == 1
    assert truth.newest("control").n_slates == truth.newest("personal").n_slates == 20
    # Shoppers 0, 2, ... have even row numbers and so odd ids: they are in the arm "personal".
    expected = sum(
        1 - np.prod(1 - small_world.click_probability(row, np.arange(12), 0))
        for row in range(0, 40, 2)
    )
    assert truth.newest("personal").expected_clicked_slates == pytest.approx(expected)


def test_visits_of_a_failing_service_are_counted_and_end(small_world: World) -> None:
    """An error is counted by kind and status and not repeated; no visit goes on without a page."""
    shop = open_shop(small_world, FakeService(small_world, status=429))
    _visit(shop, 5)
    assert dict(shop.counters.errors) == {"serve 429": 5}
    assert shop.counters.faults[0] == "serve 429 the queue is full"


def test_visits_click_what_is_not_of_the_shop_and_stay_where_they_are(small_world: World) -> None:
    """A pinned id that nobody sells is clicked at times, and leads to no page of an item."""
    service = FakeService(small_world, first=("nope",))
    _visit(open_shop(small_world, service), 300)
    clicks = [event for event in service.events if event["event"] == "click"]
    assert any(click.get("item_id") == "nope" for click in clicks)
    assert any(shown == ["nope"] for shown in service.exposures.values()), "a banner alone"
    assert all("nope" not in page["context"]["item_ids"] for page in service.pages)


def test_unknown_is_neither_liked_nor_not(small_world: World) -> None:
    """Only the base utility speaks: for everybody the same, and less of it for a banner."""
    base = small_world.config.base_utility
    for row in (0, 1):
        (item,) = small_world.click_probability(row, [UNKNOWN_ROW], 0)
        assert item == pytest.approx(1 / (1 + np.exp(-base)))
        banner = small_world.banner_click_probability(row, [])
        assert banner == pytest.approx(1 / (1 + np.exp(-base - BANNER_UTILITY)))


def test_visitors_come_by_their_activity_until_stopped(small_world: World) -> None:
    """A busy shopper comes more often than a quiet one, and nobody comes after the stop."""
    service = FakeService(small_world)
    shop = open_shop(small_world, service)

    async def let_in() -> None:
        stop = asyncio.Event()

        async def close_after(n_visits: int) -> None:
            while shop.counters.n_visits < n_visits:
                await asyncio.sleep(0)
            stop.set()

        pace = Pace(visits_per_s=0, n_at_once=4)
        async with asyncio.TaskGroup() as group:
            group.create_task(close_after(600))
            group.create_task(send_visitors(shop, pace, stop, run_id="t", clock=lambda: 0.0))

    asyncio.run(let_in())
    assert 600 <= shop.counters.n_visits <= 604
    visits = {page["user"]["session_id"]: page["user"] for page in service.pages}
    rows = np.array([int(user["anonymous_id"][1:]) - 1 for user in visits.values()])
    counts = np.bincount(rows, minlength=len(small_world.shoppers))
    activity = small_world.shoppers.activity
    busiest = np.argsort(-activity)[:20]
    assert counts[busiest].sum() == pytest.approx(
        600 * activity[busiest].sum() / activity.sum(), rel=0.25
    )
    n_anonymous = sum("user_id" not in user for user in visits.values())
    assert 0.1 < n_anonymous / len(visits) < 0.3
