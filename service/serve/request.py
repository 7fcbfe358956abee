"""What a client asks for: the body of ``POST /v1/serve``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec

from models.errors import IdError
from models.ids import check_id

MAX_PLACEMENTS = 50
MAX_EXCLUDED = 500
MAX_CONTEXT_ITEMS = 100
MAX_COUNT = 100

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
"""1 to 256 bytes of UTF-8 without NUL; the bytes are counted after decoding."""
ShortText = Annotated[str, msgspec.Meta(max_length=64)]
Count = Annotated[int, msgspec.Meta(ge=1, le=MAX_COUNT)]
DeadlineMs = Annotated[int, msgspec.Meta(ge=1, le=10_000)]
ContextItems = Annotated[tuple[Id, ...], msgspec.Meta(max_length=MAX_CONTEXT_ITEMS)]
ExcludedItems = Annotated[tuple[Id, ...], msgspec.Meta(max_length=MAX_EXCLUDED)]

_SURELY_SHORT = 64  # characters: at most 4 bytes each


def _check_ids(name: str, ids: Iterable[str | None]) -> None:
    """Raise `ValueError`, to which msgspec adds the path, if an id breaks the rule."""
    for value in ids:
        if value is not None and (len(value) > _SURELY_SHORT or "\0" in value):
            try:
                check_id(value, name)
            except IdError as error:
                raise ValueError(error.message) from error


class User(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who looks at the page. Without `consent` no id is used or kept, and nothing is personal."""

    user_id: Id | None = None
    """The signed-in shopper."""
    anonymous_id: Id | None = None
    """The device or browser; used where there is no `user_id`."""
    session_id: Id | None = None
    consent: bool = True

    def __post_init__(self) -> None:
        _check_ids("user_id", (self.user_id,))
        _check_ids("anonymous_id", (self.anonymous_id,))
        _check_ids("session_id", (self.session_id,))


class Context(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the page is and what it is about."""

    channel: ShortText | None = None
    platform: ShortText | None = None
    country: ShortText | None = None
    """Written as in the interactions the model was trained on."""
    page: ShortText | None = None
    """The kind of page, in your own words: ``home``, ``product``, ``basket``."""
    item_ids: ContextItems = ()
    """What the page is about: the product, or the basket. These items are not recommended."""

    def __post_init__(self) -> None:
        _check_ids("an item id", self.item_ids)


class PlacementRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One slot to fill."""

    id: Id
    count: Count | None = None
    """How many items or banners; by default what the placement says."""
    exclude_item_ids: ExcludedItems = ()

    def __post_init__(self) -> None:
        _check_ids("a placement id", (self.id,))
        _check_ids("an excluded item id", self.exclude_item_ids)


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to answer."""

    deadline_ms: DeadlineMs | None = None
    """When it is near, a less personal tier answers; by default what the service is set to."""
    explain: bool = False
    """Add the parts of each score; needs a merchandiser key."""
    preview: None = None
    """Reserved: this version accepts only null."""


Placements = Annotated[
    tuple[PlacementRequest, ...], msgspec.Meta(min_length=1, max_length=MAX_PLACEMENTS)
]


class ServeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page: its placements in the order in which they choose, the most important first."""

    placements: Placements
    user: User = User()
    context: Context = Context()
    options: Options = Options()
