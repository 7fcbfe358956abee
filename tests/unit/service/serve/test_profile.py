"""The merged history of a shopper, and how long a profile is kept."""

from collections import OrderedDict
from typing import Any

import numpy as np

from models.events import InteractionKind
from models.vocabulary import MISSING_ROW
from service.control.documents import ItemStatus
from service.serve.history import merge_history
from service.serve.profile import Profile
from service.serve.profiles import Profiles
from service.serve.stock import Stock
from tests.snapshots import ALICE, DAY_MS, ITEM_IDS, TRAINED_MS
from tests.unit.service.serve.pages import TINY, Recent, items_placement, make_shelf

VIEW, CART = InteractionKind.VIEW, InteractionKind.ADD_TO_CART
PURCHASE, REFUND = InteractionKind.PURCHASE, InteractionKind.REFUND


def _merge(*recent: Recent, user_row: int = 0) -> tuple[list[tuple[str, int, int]], set[str]]:
    history, purchased = merge_history(Stock(TINY), user_row, recent)
    rows = zip(history.rows, history.kinds, history.at_ms, strict=True)
    merged = [(ITEM_IDS[row], int(kind), int(at_ms)) for row, kind, at_ms in rows]
    return merged, {ITEM_IDS[row] for row in purchased}


MUG, PAN = ("mug", VIEW, TRAINED_MS - 2 * DAY_MS), ("pan", PURCHASE, TRAINED_MS - DAY_MS)


def test_history_of_the_snapshot_stands_alone() -> None:
    """Without news it is the snapshot's, which is not copied."""
    assert _merge() == ([MUG, PAN], {"pan"})


def test_newer_event_moves_an_item_to_the_end_and_keeps_its_strongest_kind() -> None:
    """A view of the bought pan leaves it a purchase; a cart makes the mug stronger."""
    merged, _ = _merge(Recent("pan", VIEW), Recent("mug", CART))
    assert merged == [("pan", PURCHASE, TRAINED_MS), ("mug", CART, TRAINED_MS)]


def test_event_that_the_model_has_seen_changes_nothing() -> None:
    """A model trained on the same events gives the same history."""
    assert _merge(Recent("pan", PURCHASE, PAN[2])) == _merge()


def test_refund_takes_the_purchase_back() -> None:
    """A refunded item may be shown again and speaks no more, until it is met anew."""
    assert _merge(Recent("pan", REFUND)) == ([MUG, ("pan", REFUND, TRAINED_MS)], set())
    merged, purchased = _merge(Recent("pan", REFUND), Recent("pan", VIEW))
    assert merged == [MUG, ("pan", VIEW, TRAINED_MS)]
    assert purchased == set()


def test_unknown_items_leave_no_trace() -> None:
    """Someone unknown who viewed something unknown has no history."""
    assert _merge(Recent("x"), user_row=MISSING_ROW) == ([], set())


def test_weights_do_not_fade_all_together() -> None:
    """Fifteen years on, what counts is how the events lie to each other: 5 to 1 by kind."""
    stock = Stock(TINY)
    events = (Recent("mug", VIEW, 5), Recent("pan", PURCHASE, 5))
    profile = Profile(stock, MISSING_ROW, events)
    assert profile.speaks
    assert np.allclose(profile.weights, [1 / 6, 5 / 6])
    assert len(profile.scored.rows) > 0


def test_profile_of_refunds_says_nothing() -> None:
    """A refund has weight 0."""
    profile = Profile(Stock(TINY), MISSING_ROW, (Recent("mug", REFUND),))
    assert not profile.speaks
    assert len(profile.scored.rows) == 0


def test_profile_is_kept_until_its_shopper_acts_or_the_model_changes() -> None:
    """Equal events are no news; another event or another stock is."""
    profiles, stock = Profiles(), Stock(TINY)
    first = profiles.get(stock, ALICE, None, (Recent("mug"),))
    assert profiles.get(stock, ALICE, None, (Recent("mug"),)) is first
    assert profiles.get(stock, ALICE, None, (Recent("mug"), Recent("cup"))) is not first
    assert profiles.get(Stock(TINY), ALICE, None, (Recent("mug"),)) is not first


def test_profiles_keep_the_newest_only() -> None:
    """The shopper who was away longest is dropped, and whoever is to be forgotten."""
    profiles, stock = Profiles(max_profiles=2), Stock(TINY)
    kept = profiles.get(stock, "a", None, ())
    profiles.get(stock, "b", None, ())
    assert profiles.get(stock, "a", None, ()) is kept
    profiles.get(stock, None, "c", ())
    assert profiles.get(stock, "a", None, ()) is kept
    assert len(profiles) == 2
    profiles.forget("a")
    profiles.forget("c")
    assert len(profiles) == 0


def test_anonymous_history_is_found_too() -> None:
    """The trainer may know a device by its pseudonym."""
    profile = Profiles().get(Stock(TINY), "unknown", ALICE, ())
    assert [ITEM_IDS[row] for row in profile.history.rows] == ["mug", "pan"]


def test_candidates_follow_the_shelf() -> None:
    """A hide makes new layers from the same scores."""
    stock = Stock(TINY)
    profile = Profile(stock, 0, ())
    shelf = make_shelf(items_placement())
    rows = next(profile.layers(shelf, True, True)).rows
    assert next(profile.layers(make_shelf(), True, True)).rows == rows
    hidden = make_shelf(items_placement(), ItemStatus(item_id=ITEM_IDS[rows[0]], hidden=True))
    assert next(profile.layers(hidden, True, True)).rows == rows[1:]


def test_shoppers_may_come_while_the_last_ones_are_listed() -> None:
    """A list that changes while it is read is read again, in whichever thread."""
    profiles, stock = Profiles(), Stock(TINY)

    class Busy(OrderedDict[tuple[str | None, str | None], Profile]):
        def items(self) -> Any:
            if next(changes, False):
                raise RuntimeError("OrderedDict mutated during iteration")
            return super().items()

    profiles.get(stock, "first", None, ())
    changes = iter((True, True))
    profiles._kept = Busy(profiles._kept)
    assert len(profiles._newest()) == 1
    assert next(changes, None) is None


def test_shopper_is_found_by_one_of_the_keys_they_came_with() -> None:
    """As they came last; who was pushed out or is to be forgotten is not found."""
    profiles, stock = Profiles(max_profiles=2), Stock(TINY)
    profiles.get(stock, "user", "phone", ())
    assert profiles.last_as("user", "phone") == ("user", "phone")
    assert profiles.last_as("user", None) == ("user", "phone")
    assert profiles.last_as(None, "phone") == ("user", "phone")
    assert profiles.last_as("user", "laptop") == ("user", "phone")
    assert profiles.last_as("nobody", None) is None
    assert profiles.last_as(None, None) is None
    profiles.get(stock, "user", "laptop", ())
    assert profiles.last_as("user", None) == ("user", "laptop")
    assert profiles.last_as("user", "phone") == ("user", "phone")
    profiles.get(stock, None, "tablet", ())
    assert profiles.last_as("user", None) == ("user", "laptop")
    assert profiles.last_as(None, "phone") is None
    profiles.forget("user")
    assert profiles.last_as(None, "laptop") is None
    assert profiles.last_as(None, "tablet") == (None, "tablet")
    profiles.forget_all()
    assert profiles.last_as(None, "tablet") is None
