"""A handover: who has the model before for how long, and what moving costs at most."""

from itertools import count

import pytest

from models.snapshot import Snapshot
from service.control.configuration import Configuration
from service.serve.engine import Clock, Engine
from service.serve.handover import AT_ONCE_S, HANDOVER_S, MOVING_SHARE, Handover
from service.serve.page import Page
from service.serve.request import Options, PlacementRequest, ServeRequest, User
from service.telemetry.stages import Stopwatch
from tests.snapshots import TRAINED_MS, tiny_snapshot
from tests.unit.service.serve.pages import TINY, Recent, items_placement, make_shelf
from tests.unit.service.serve.test_engine import PSEUDONYMS, Store

HOME = (items_placement(),)


class Shop:
    """An engine with a clock that stands still, and shoppers of whom everything is held."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.configuration = Configuration.compile(1, HOME)
        self.snapshot: Snapshot = TINY
        self.store = Store()
        numbers = count(1)
        self.engine = Engine(
            configuration=lambda: self.configuration,
            snapshot=lambda: self.snapshot,
            recent=self.store,
            pseudonymiser=PSEUDONYMS,
            clock=Clock(now_ms=lambda: TRAINED_MS, monotonic_s=lambda: self.now_s),
            make_id=lambda: f"id{next(numbers)}",
        )

    def page(self, user: str, takes_s: float = 0.0, *, explain: bool = False) -> Page:
        """Ask for a page, which takes this long to decide."""
        key = PSEUDONYMS.pseudonym("user_id", user)
        self.store.held.setdefault(key, (Recent("rose"),))
        request = ServeRequest(
            placements=(PlacementRequest(id="recs"),),
            user=User(user_id=user),
            options=Options(explain=explain),
        )
        times = iter((self.now_s, self.now_s, self.now_s + takes_s))  # made, gathered, decided
        watch = Stopwatch(lambda: next(times))
        found = self.engine.serve_at_once(request, watch)
        assert found is not None
        page, exposures = found
        assert [one.model_version for one in exposures] == [page.model_version]
        return page

    def act(self, user: str) -> None:
        """Let a shopper do something."""
        key = PSEUDONYMS.pseudonym("user_id", user)
        self.store.held[key] = (*self.store.held[key], Recent("lamp"))


@pytest.fixture
def shop() -> Shop:
    """Return a shop that knows ann, ben and cid, right before a swap."""
    shop = Shop()
    for user in ("ann", "ben", "cid"):
        assert shop.page(user).model_version == "tiny"
    shop.snapshot = tiny_snapshot("next")
    return shop


def test_handover_has_room_for_its_share_of_the_time() -> None:
    """Two milliseconds at once; in 60 s the share grows to a tenth, so it is 0.1 · t² / 120 s."""
    assert (AT_ONCE_S, MOVING_SHARE, HANDOVER_S) == (0.002, 0.1, 60.0)
    handover = Handover(make_shelf(*HOME), 10.0)
    assert handover.has_room(10.0)
    handover.charge(0.002 + 0.030)
    assert not handover.has_room(10.0)
    assert not handover.has_room(15.9)
    assert handover.has_room(16.1)
    handover.charge(2.970)
    assert not handover.has_room(69.9)
    assert handover.has_room(70.1)
    assert not handover.is_over(10.0 + HANDOVER_S)
    assert handover.is_over(10.1 + HANDOVER_S)


def test_known_shoppers_move_as_there_is_room(shop: Shop) -> None:
    """The first is new at once; the others keep their model until its page is paid for."""
    assert shop.page("ann", takes_s=0.032).model_version == "next"
    assert shop.page("ben").model_version == "tiny"
    assert shop.page("ann").model_version == "next"
    shop.now_s += 5.9  # 2 ms and 0.1 · 5.9² / 120 s are less than 32 ms
    assert shop.page("ben").model_version == "tiny"
    shop.now_s += 0.2
    assert shop.page("ben", takes_s=1.0).model_version == "next"
    assert shop.page("cid").model_version == "tiny"


def test_handover_ends(shop: Shop) -> None:
    """After its time everybody has the new model, whatever that costs."""
    shop.page("ann", takes_s=1e6)
    shop.now_s += HANDOVER_S - 0.1
    assert shop.page("ben").model_version == "tiny"
    shop.now_s += 0.2
    assert shop.page("ben").model_version == "next"
    assert shop.engine._shelves.handover is None


def test_who_needs_working_out_has_the_new_model(shop: Shop) -> None:
    """Of someone new, who acted or is forgotten nothing is there to go on with."""
    shop.page("ann", takes_s=1e6)
    assert shop.page("dan").model_version == "next"
    shop.act("ben")
    assert shop.page("ben").model_version == "next"
    assert shop.page("cid").model_version == "tiny"
    shop.engine.forget(PSEUDONYMS.pseudonym("user_id", "cid"))
    assert shop.page("cid").model_version == "next"


def test_merchandisers_see_the_new_model(shop: Shop) -> None:
    """A page that is explained is of the model that was promoted."""
    shop.page("ann", takes_s=1e6)
    assert shop.page("ben", explain=True).model_version == "next"


def test_documents_that_change_end_a_handover(shop: Shop) -> None:
    """Else a page would be made from documents that do not hold any more."""
    shop.page("ann", takes_s=1e6)
    shop.configuration = Configuration.compile(2, HOME)
    assert shop.page("ben").model_version == "next"


def test_model_without_its_erased_users_has_no_handover(shop: Shop) -> None:
    """The same version opened anew is there for nobody to see the old one again."""
    shop.page("ann", takes_s=1e6)
    shop.snapshot = tiny_snapshot("next")
    assert shop.page("ben").model_version == "next"
    assert shop.engine._shelves.handover is None
