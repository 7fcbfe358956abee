"""Pages of the tiny shop without a server: a configuration, a visit, a decision in one call."""

from collections.abc import Sequence
from itertools import count

import msgspec

from models.events import InteractionKind
from models.snapshot import Snapshot
from models.vocabulary import MISSING_ROW
from service.control.configuration import Configuration
from service.control.documents import Document, Placement
from service.serve.decide import Decision, decide_page
from service.serve.page import BannerSlate, ItemSlate, ServedItem
from service.serve.profile import Profile
from service.serve.request import Context, PlacementRequest
from service.serve.shelf import Shelf
from service.serve.stock import Stock
from service.serve.visit import Visit
from service.serve.wanted import find_placements
from tests.snapshots import TRAINED_MS, tiny_snapshot

TINY = tiny_snapshot()


class Recent(msgspec.Struct, frozen=True):
    """An event as the store gives it back."""

    item_id: str
    kind: InteractionKind = InteractionKind.VIEW
    at_ms: int = TRAINED_MS


def items_placement(placement_id: str = "recs", **fields: object) -> Placement:
    """Make a placement of three items."""
    made: dict[str, object] = {"id": placement_id, "kind": "items", "count": 3, **fields}
    return msgspec.convert(made, Placement)


def make_shelf(*documents: Document, snapshot: Snapshot | None = TINY) -> Shelf:
    """Put a snapshot under the configuration of some documents."""
    stock = None if snapshot is None else Stock(snapshot)
    return Shelf(stock, Configuration.compile(1, documents))


def make_visit(
    shelf: Shelf,
    *,
    user_key: str | None = None,
    anonymous_key: str | None = None,
    recent: Sequence[Recent] = (),
    context: Context | None = None,
    now_ms: int = TRAINED_MS,
    is_late: bool = False,
    explain: bool = False,
) -> Visit:
    """Make the visit of a shopper, who has a profile if there is a key and a model."""
    profile = None
    if shelf.stock is not None and (user_key or anonymous_key):
        users = shelf.stock.snapshot.users.ids
        row = MISSING_ROW if user_key is None else users.row(user_key)
        profile = Profile(shelf.stock, row, tuple(recent))
    context = context or Context()
    return Visit(
        request_id="request",
        context=context,
        context_rows=[] if shelf.stock is None else shelf.stock.known_rows(context.item_ids),
        user_key=user_key,
        anonymous_key=anonymous_key,
        session_key=None,
        profile=profile,
        trouble=None,
        explain=explain,
        now_ms=now_ms,
        is_late=lambda: is_late,
        segments=shelf.segments,
    )


def decide(shelf: Shelf, visit: Visit, *asked: str | PlacementRequest) -> list[Decision]:
    """Decide a page of these placements; exposure ids count up from 1."""
    numbers = count(1)
    wanted = tuple(PlacementRequest(id=one) if isinstance(one, str) else one for one in asked)
    placements = find_placements(shelf.configuration, wanted)
    return decide_page(shelf, visit, placements, lambda: f"exposure-{next(numbers)}")


def served_items(decision: Decision) -> tuple[ServedItem, ...]:
    """Return the items of a slate, in order."""
    assert isinstance(decision.slate, ItemSlate)
    return decision.slate.items


def items_of(decision: Decision) -> list[str]:
    """Return the ids of a slate of items, in order."""
    return [item.id for item in served_items(decision)]


def banners_of(decision: Decision) -> list[str]:
    """Return the ids of a slate of banners, in order."""
    assert isinstance(decision.slate, BannerSlate)
    return [banner.id for banner in decision.slate.banners]
