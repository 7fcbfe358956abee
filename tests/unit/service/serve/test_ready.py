"""Candidates worked out ahead change what a page costs, not what stands on it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.ready_candidates import ReadyCandidates, fill, make_room
from models.snapshot import Snapshot
from service.control.configuration import Configuration
from service.control.documents import Document, ItemStatus
from service.serve.profile import Profile
from service.serve.profiles import Profiles
from service.serve.shelf import Shelf
from service.serve.stock import Stock
from tests.benchmarks.serve.shop import make_snapshot
from tests.unit.service.serve.pages import Recent, decide, items_of, items_placement, make_visit

N_USERS = 60


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """A shop of 600 items whose users bought half of what they met."""
    made = make_snapshot(tmp_path_factory.mktemp("shop"), 600, N_USERS)
    history, length = made.users.history, int(made.users.history.offsets[1])
    bought = [sorted(history[user][: length // 2].tolist()) for user in range(N_USERS)]
    lists = type(history).of(bought)
    return replace(made, users=replace(made.users, purchased=lists))


@pytest.fixture(scope="module")
def ready(shop: Snapshot, tmp_path_factory: pytest.TempPathFactory) -> ReadyCandidates:
    """All users but the last, worked out."""
    path = tmp_path_factory.mktemp("ready") / "candidates"
    make_room(shop, path)
    assert fill(shop, path, range(N_USERS - 1))
    return ReadyCandidates(shop, path)


def _slates(stock: Stock, *documents: Document) -> list[object]:
    shelf = Shelf(stock, Configuration.compile(1, documents))
    placements = [one.id for one in shelf.configuration.placements.values()]
    made: list[object] = []
    for row in range(N_USERS):
        key = stock.snapshot.users.ids.id(row)
        visit = make_visit(shelf, user_key=key)
        made += [decision.slate for decision in decide(shelf, visit, *sorted(placements))]
    return made


@pytest.mark.parametrize(
    "fields",
    [
        {"count": 12},
        {"count": 100},
        {"count": 12, "exclude_purchased": False},
        {"count": 12, "only_available": False, "max_per_brand": 1},
        {"count": 12, "max_per_category": 1},
        {"count": 12, "recipe": "recently_viewed"},
    ],
)
def test_slates_are_the_same_with_and_without(
    shop: Snapshot, ready: ReadyCandidates, fields: dict[str, Any]
) -> None:
    """Items, scores, who spoke, tiers: whatever the placement asks for, and with much hidden."""
    hidden = [ItemStatus(item_id=shop.items.ids.id(row), hidden=True) for row in range(0, 600, 3)]
    for documents in ([], hidden):
        placement = items_placement(**fields)
        without = _slates(Stock(shop), placement, *documents)
        assert _slates(Stock(shop, ready), placement, *documents) == without


def test_second_placement_of_a_page_gets_what_the_first_left(
    shop: Snapshot, ready: ReadyCandidates
) -> None:
    """Two placements that take more than is worked out ahead show each item once."""
    placements = [items_placement("a", count=25), items_placement("b", count=25)]
    stock = Stock(shop, ready)
    assert _slates(stock, *placements) == _slates(Stock(shop), *placements)
    shelf = Shelf(stock, Configuration.compile(1, placements))
    key = shop.users.ids.id(3)
    found = decide(shelf, make_visit(shelf, user_key=key), "a", "b")
    shown = [*items_of(found[0]), *items_of(found[1])]
    assert len(set(shown)) == 50


def test_whoever_acted_is_scored_anew(shop: Snapshot, ready: ReadyCandidates) -> None:
    """What was worked out ahead knows nothing of newer events."""
    event = Recent(shop.items.ids.id(300), at_ms=2_000_000_000_000)
    acted, without = (Profile(one, 1, (event,)) for one in (Stock(shop, ready), Stock(shop)))
    quiet = Profile(Stock(shop, ready), 1, ())
    assert acted.scored.scores.tolist() == without.scored.scores.tolist()
    assert acted.scored.scores.tolist() != quiet.scored.scores.tolist()
    assert acted.history.rows[-1] == 300


def test_profile_is_ready_if_its_user_was_worked_out(
    shop: Snapshot, ready: ReadyCandidates
) -> None:
    """Then a page that is late is personal all the same; one that shows what was bought is not."""
    stock = Stock(shop, ready)
    shelf = Shelf(stock, Configuration.compile(1, []))
    profile = Profile(stock, 1, ())
    assert profile.is_ready(shelf, excludes_bought=True)
    assert not profile.is_ready(shelf, excludes_bought=False)
    assert not Profile(stock, N_USERS - 1, ()).is_ready(shelf, excludes_bought=True)
    assert np.allclose(profile.weights, Profile(Stock(shop), 1, ()).weights)


def test_shoppers_without_news_are_first_in_the_file(shop: Snapshot) -> None:
    """Those seen last are worked out before all others, the newest first."""
    profiles, before = Profiles(), Stock(shop)
    keys = [shop.users.ids.id(row) for row in (0, 1, N_USERS - 1)]
    for key in (*keys[:2], "nobody"):
        profiles.get(before, key, None, ())
    profiles.get(before, keys[2], None, (Recent(shop.items.ids.id(5)),))
    assert profiles.seen_last() == [("nobody", None), (keys[1], None), (keys[0], None)]
