"""The engine: what it gathers for a page, in what time, and what it does when it cannot."""

import asyncio
import dataclasses
import inspect
import mmap
import os
import random
from dataclasses import dataclass, field
from itertools import count

import pytest

from models.errors import NotFoundError, StoreError
from models.pseudonym import Pseudonymiser
from models.scoring import History
from models.snapshot import Snapshot
from service.control.configuration import Configuration
from service.control.documents import ItemStatus
from service.control.rule import Rule, Selection
from service.exposure import Exposure
from service.serve.engine import Clock, Engine
from service.serve.fresh_ids import id_maker
from service.serve.page import ItemSlate, Page
from service.serve.request import Options, PlacementRequest, ServeRequest, User
from service.serve.shared_candidates import N_BYTES, SharedCandidates
from tests.snapshots import TRAINED_MS, tiny_snapshot
from tests.unit.service.serve.pages import TINY, Recent, items_placement

PSEUDONYMS = Pseudonymiser(b"k" * 32)
HOME = (items_placement(static_ids=["pot"]), items_placement("off", enabled=False))


@dataclass
class Store:
    """A store of newest events that can be broken, or never answer."""

    events: dict[str, tuple[Recent, ...]] = field(default_factory=dict)
    held: dict[str, tuple[Recent, ...]] = field(default_factory=dict)
    is_broken: bool = False
    is_stuck: bool = False

    def cached(self, user_key: str | None, anonymous_key: str | None) -> tuple[Recent, ...] | None:
        """Return what is held."""
        return self.held.get(user_key or anonymous_key or "")

    async def read(self, user_key: str | None, anonymous_key: str | None) -> tuple[Recent, ...]:
        """Answer at once, or never."""
        if self.is_stuck:
            await asyncio.Event().wait()
        if self.is_broken:
            raise StoreError("the disk is gone")
        return self.events.get(user_key or anonymous_key or "", ())


class Shop:
    """An engine with its surroundings."""

    def __init__(self) -> None:
        self.store = Store()
        self.configuration = Configuration.compile(1, HOME)
        self.snapshot: Snapshot | None = TINY
        numbers = count(1)
        self.engine = Engine(
            configuration=lambda: self.configuration,
            snapshot=lambda: self.snapshot,
            recent=self.store,
            pseudonymiser=PSEUDONYMS,
            deadline_ms=5_000,
            clock=Clock(now_ms=lambda: TRAINED_MS),
            make_id=lambda: f"id{next(numbers)}",
        )

    def serve(self, user: User | None = None, **options: int) -> tuple[Page, list[Exposure]]:
        """Ask for one slate."""
        request = ServeRequest(
            placements=(PlacementRequest(id="recs"),),
            user=user or User(user_id="ann", anonymous_id="device", session_id="s"),
            options=Options(**options),  # type: ignore[arg-type]  # a test names real fields
        )
        return asyncio.run(self.engine.serve(request))


@pytest.fixture
def shop() -> Shop:
    """Return a shop with one placement."""
    return Shop()


def _ids(page: Page) -> list[str]:
    [slate] = page.placements
    assert isinstance(slate, ItemSlate)
    return [item.id for item in slate.items]


def _key(user_id: str) -> str:
    return PSEUDONYMS.pseudonym("user_id", user_id)


def test_exposure_says_what_the_page_says(shop: Shop) -> None:
    """Ids, keys as pseudonyms, and the model version."""
    page, [exposure] = shop.serve()
    [slate] = page.placements
    assert (page.request_id, slate.exposure_id) == ("id1", "id2")
    assert (exposure.request_id, exposure.exposure_id) == ("id1", "id2")
    assert (exposure.unit_kind, exposure.unit_key) == ("user_id", _key("ann"))
    assert exposure.anonymous_key == PSEUDONYMS.pseudonym("anonymous_id", "device")
    assert exposure.session_key == PSEUDONYMS.pseudonym("session_id", "s")
    assert exposure.model_version == page.model_version == "tiny"
    assert [one.id for one in exposure.shown] == _ids(page)


def test_newest_events_make_the_page_personal(shop: Shop) -> None:
    """What the store holds of the user counts on the next call."""
    page, _ = shop.serve()
    assert page.placements[0].tier == "popular"
    shop.store.events[_key("ann")] = (Recent("rose"), Recent("lamp"))
    page, _ = shop.serve()
    assert page.placements[0].tier == "personal"
    assert _ids(page)[:2] == ["spade", "bulb"]


def test_held_events_need_no_reading(shop: Shop) -> None:
    """A broken store does not matter while this process holds the events."""
    shop.store.is_broken = True
    shop.store.held[_key("ann")] = (Recent("rose"),)
    page, _ = shop.serve()
    assert (page.placements[0].tier, page.placements[0].degraded) == ("personal", None)


def test_without_consent_nothing_is_kept_or_personal(shop: Shop) -> None:
    """No key in the exposure, no unit, no events read."""
    shop.store.is_broken = True
    page, [exposure] = shop.serve(User(user_id="ann", anonymous_id="device", consent=False))
    assert (page.placements[0].tier, page.placements[0].degraded) == ("popular", None)
    keys = (exposure.unit_key, exposure.user_key, exposure.anonymous_key, exposure.session_key)
    assert keys == (None, None, None, None)
    assert exposure.unit_kind is None


def test_broken_store_is_answered_and_named(shop: Shop) -> None:
    """The page comes from the next tier; the failure is counted."""
    shop.store.is_broken = True
    page, _ = shop.serve()
    assert (page.placements[0].tier, page.placements[0].degraded) == (
        "popular",
        "store_unavailable",
    )
    assert shop.engine.gathering.failed_reads == 1


def test_slow_store_is_not_waited_for(shop: Shop) -> None:
    """The store never answers; the page does, at the deadline, from the next tier."""
    shop.store.is_stuck = True
    page, _ = shop.serve(deadline_ms=20)
    assert (page.placements[0].tier, page.placements[0].degraded) == ("popular", "deadline")
    assert shop.engine.gathering.late_reads == 1
    assert page.took_ms < 1_000


def test_no_model_answers_from_the_static_list(shop: Shop) -> None:
    """Before the first training."""
    shop.snapshot = None
    page, _ = shop.serve()
    assert _ids(page) == ["pot"]
    assert (page.model_version, page.placements[0].degraded) == (None, "no_model")


def test_new_model_and_new_configuration_are_seen_at_once(shop: Shop) -> None:
    """The shelf is kept while both stay, and made anew when either changes."""
    shelf = shop.engine.shelf()
    assert shop.engine.shelf() is shelf
    shop.configuration = Configuration.compile(2, [*HOME, ItemStatus(item_id="rose", hidden=True)])
    page, _ = shop.serve()
    assert _ids(page) == ["mug", "lamp", "pan"]
    assert shop.engine.shelf().stock is shelf.stock
    shop.snapshot = tiny_snapshot("next")
    page, _ = shop.serve()
    assert page.model_version == "next"


def test_unknown_placement_is_named_with_the_known_ones(shop: Shop) -> None:
    """The error says which placement, where, and what there is."""
    request = ServeRequest(placements=tuple(PlacementRequest(id=one) for one in ("hme", "hmo")))
    with pytest.raises(NotFoundError) as caught:
        asyncio.run(shop.engine.serve(request))
    sentence = "placement 'hme' at $.placements[0].id is not configured; known: off, recs; add it"
    assert sentence in str(caught.value)


def test_placement_that_is_switched_off_leaves_the_others_filled(shop: Shop) -> None:
    """Its slot is empty and says why, and nothing is logged of it."""
    asked = tuple(PlacementRequest(id=one) for one in ("off", "recs"))
    page, exposures = asyncio.run(shop.engine.serve(ServeRequest(placements=asked)))
    off, recs = page.placements
    assert isinstance(off, ItemSlate)
    assert (off.id, off.items, off.degraded, off.exposure_id) == ("off", (), "disabled", "")
    assert isinstance(recs, ItemSlate)
    assert len(recs.items) == 3
    assert [one.placement_id for one in exposures] == ["recs"]


def test_unknown_placement_leaves_the_others_filled(shop: Shop) -> None:
    """It is empty in its place, says why, and is no exposure; what follows it is filled."""
    asked = tuple(PlacementRequest(id=one) for one in ("hme", "off", "recs"))
    page, exposures = asyncio.run(shop.engine.serve(ServeRequest(placements=asked)))
    assert [(one.id, one.degraded) for one in page.placements[:2]] == [
        ("hme", "not_configured"),
        ("off", "disabled"),
    ]
    unknown, recs = page.placements[0], page.placements[2]
    assert isinstance(unknown, ItemSlate)
    assert (unknown.items, unknown.exposure_id, unknown.rollout) == ((), "", None)
    assert isinstance(recs, ItemSlate)
    assert len(recs.items) == 3
    assert [one.placement_id for one in exposures] == ["recs"]


def test_ids_are_128_bits_and_differ_between_processes() -> None:
    """32 hexadecimal digits; two makers share none, whatever state of chance they begin with."""
    random.seed(7)
    first = id_maker(lambda: 5)
    ids = {first() for _ in range(1_000)}
    random.seed(7)
    second = id_maker(lambda: 5)
    ids |= {second() for _ in range(1_000)}
    assert len(ids) == 2_000
    assert {len(one) for one in ids} == {32}


def test_every_random_byte_goes_into_one_id() -> None:
    """What is drawn, by default the system's bytes, is shared out and not used twice."""
    drawn: list[bytes] = []

    def draw(n_bytes: int) -> bytes:
        drawn.append(random.Random(len(drawn)).randbytes(n_bytes))
        return drawn[-1]

    make = id_maker(lambda: 5, draw)
    tails = {make()[12:] for _ in range(200)}
    pieces = b"".join(drawn).hex()
    assert tails <= {pieces[at : at + 20] for at in range(0, len(pieces), 20)}
    assert len(tails) == 200
    assert inspect.signature(id_maker).parameters["draw"].default is os.urandom


def test_ids_rise_with_time() -> None:
    """One made a millisecond later is greater, so that an index grows at its end."""
    times = iter((255, 256, 65_536))
    make = id_maker(lambda: next(times))
    ids = [make() for _ in range(3)]
    assert ids == sorted(ids)
    assert [one[:12] for one in ids] == ["0000000000ff", "000000000100", "000000010000"]


def test_prepared_model_is_swapped_in_as_it_is(shop: Shop) -> None:
    """What was made beforehand is used if it is the live one, whatever happened meanwhile."""
    shop.engine.shelf()
    following = tiny_snapshot("next")
    shop.engine.prepare(following)
    assert shop.engine.shelf().version == "tiny"
    shop.engine.prepare(following)
    prepared = shop.engine._shelves.prepared
    shop.snapshot = following
    assert shop.engine.shelf() is prepared
    another = tiny_snapshot("another")
    shop.engine.prepare(another)
    assert prepared is not None
    stock = shop.engine._shelves.prepared.stock if shop.engine._shelves.prepared else None
    shop.configuration = Configuration.compile(2, HOME)
    shop.snapshot = another
    assert shop.engine.shelf().stock is stock
    assert shop.engine.shelf().configuration is shop.configuration
    shop.engine.prepare(following)
    shop.snapshot = None
    assert shop.engine.shelf().stock is None


def test_documents_that_change_before_the_first_request_keep_the_stock(shop: Shop) -> None:
    """What was worked out for the model is not thrown away, neither before nor at a swap."""
    shop.engine.prepare(shop.snapshot or tiny_snapshot())
    prepared = shop.engine._shelves.prepared
    assert prepared is not None
    following = tiny_snapshot("next")
    shop.engine.prepare_configuration(shop.configuration)
    shop.engine.prepare_configuration(Configuration.compile(2, HOME))
    assert shop.engine.shelf().stock is prepared.stock
    shop.engine.prepare(following)
    stock = shop.engine._shelves.prepared.stock if shop.engine._shelves.prepared else None
    shop.engine.prepare_configuration(shop.configuration)
    shop.snapshot = following
    assert shop.engine.shelf().stock is stock


def test_configuration_that_was_prepared_is_served_at_once(shop: Shop) -> None:
    """What its rules select is known before it is in effect, and the stock stays the same one."""
    stock = shop.engine.shelf().stock
    select = Selection(attributes=("rose",))
    newer = Configuration.compile(
        2, [*HOME, Rule(id="h", action="hide", select=select), ItemStatus(item_id="mug")]
    )
    shop.engine.prepare_configuration(newer)
    assert stock is not None
    assert [key[0] for key in stock.selected] == [select]
    assert shop.engine.shelf().configuration is shop.configuration
    shop.configuration = newer
    page, _ = shop.serve()
    assert "rose" not in _ids(page)
    assert shop.engine.shelf().stock is stock


class Asked(SharedCandidates):
    """What is shared, with nobody else there; it keeps what the scorer is asked for."""

    def __init__(self) -> None:
        self.histories: list[list[str]] = []
        self.versions: list[str] = []
        super().__init__(mmap.mmap(-1, N_BYTES), ask=self._note)

    def _note(self, version: str, _name: str, history: History) -> None:
        self.versions.append(version)
        self.histories.append([TINY.items.ids.id(row) for row in history.rows.tolist()])


def test_who_acts_is_asked_for_before_they_come_back(shop: Shop) -> None:
    """With what they did last, by either key; of whoever was not here before nobody asks."""
    asked = Asked()
    shop.engine = dataclasses.replace(shop.engine, shared=asked, recent=shop.store)
    ann, device = _key("ann"), PSEUDONYMS.pseudonym("anonymous_id", "device")
    shop.store.held[ann] = (Recent("rose"),)
    shop.serve()
    asked.histories.clear()
    shop.store.held[ann] = (Recent("rose"), Recent("lamp"))
    for user_key in (ann, _key("bob"), None):
        shop.engine.expect(user_key, None)
    assert asked.histories == [["rose", "lamp"]]
    shop.engine.expect(None, device)
    assert asked.histories == [["rose", "lamp"]] * 2
    page, _ = shop.serve()
    assert _ids(page)[:2] == ["spade", "bulb"]
    assert set(asked.versions) == {"tiny"}


def test_who_acts_while_shoppers_move_to_a_new_model_is_asked_for_under_it(shop: Shop) -> None:
    """Not who did nothing new: their pages may go on with the model before."""
    asked = Asked()
    shop.engine = dataclasses.replace(shop.engine, shared=asked, recent=shop.store)
    shop.store.held[_key("ann")] = (Recent("rose"),)
    shop.serve()
    asked.histories.clear()
    shop.snapshot = tiny_snapshot("next")
    shop.engine.expect(_key("ann"), None)
    assert asked.histories == []
    shop.store.held[_key("ann")] = (Recent("rose"), Recent("lamp"))
    shop.engine.expect(_key("ann"), None)
    assert (asked.versions, asked.histories) == (["next"], [["rose", "lamp"]])


def test_nobody_is_asked_for_whom_it_would_not_help(shop: Shop) -> None:
    """Their events would have to be read, or there is no model."""
    asked = Asked()
    shop.engine = dataclasses.replace(shop.engine, shared=asked, recent=shop.store)
    shop.store.held[_key("ann")] = (Recent("rose"),)
    shop.serve()
    held = shop.store.held.pop(_key("ann"))
    shop.engine.expect(_key("ann"), None)
    assert asked.histories == []
    shop.store.held[_key("ann")] = held
    shop.engine.expect(_key("ann"), None)
    assert asked.histories == [["rose"]]
    shop.snapshot = None
    shop.engine.expect(_key("ann"), None)
    assert asked.histories == [["rose"]]
