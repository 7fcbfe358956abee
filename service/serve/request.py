"""What a client asks for: the body of ``POST /v1/serve``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Meta

from models.errors import IdError
from models.ids import check_id
from service.control.drafts import Drafts
from service.rollouts.schedule import UtcTime

MAX_PLACEMENTS = 50
MAX_EXCLUDED = 500
MAX_CONTEXT_ITEMS = 100
MAX_COUNT = 100
MAX_WHY = 20

Id = Annotated[str, Meta(min_length=1, max_length=256)]
"""1 to 256 bytes of UTF-8 without NUL; the bytes are counted after decoding."""
ShortText = Annotated[str, Meta(max_length=64)]
Count = Annotated[int, Meta(ge=1, le=MAX_COUNT)]
DeadlineMs = Annotated[int, Meta(ge=1, le=10_000)]
ContextItems = Annotated[tuple[Id, ...], Meta(max_length=MAX_CONTEXT_ITEMS)]
ExcludedItems = Annotated[tuple[Id, ...], Meta(max_length=MAX_EXCLUDED)]

MAX_ATTRIBUTES = 50
AttributeName = Annotated[str, Meta(min_length=1, max_length=64)]
AttributeText = Annotated[str, Meta(max_length=256)]
Scalar = bool | int | float | AttributeText
Attribute = Scalar | Annotated[tuple[Scalar, ...], Meta(max_length=100)] | None

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

    user_id: Annotated[Id | None, Meta(description="The signed-in shopper.")] = None
    anonymous_id: Annotated[
        Id | None, Meta(description="The device or browser; used where there is no `user_id`.")
    ] = None
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
    country: Annotated[
        ShortText | None,
        Meta(description="Written as in the interactions the model was trained on."),
    ] = None
    page: Annotated[
        ShortText | None,
        Meta(description="The kind of page, in your own words: `home`, `product`, `basket`."),
    ] = None
    app_version: Annotated[ShortText | None, Meta(description="Such as 4.2.0.")] = None
    item_ids: Annotated[
        ContextItems,
        Meta(description="What the page is about: the product, or the basket; not recommended."),
    ] = ()
    attributes: Annotated[
        dict[AttributeName, Attribute],
        Meta(max_length=MAX_ATTRIBUTES, description="Whatever else audiences of rollouts ask."),
    ] = {}  # msgspec copies an empty default for each struct

    def for_audiences(self) -> dict[str, object]:
        """Return everything that the audience of a rollout may ask, by name."""
        return {
            **self.attributes,
            "channel": self.channel,
            "platform": self.platform,
            "country": self.country,
            "page": self.page,
            "app_version": self.app_version,
            "item_ids": self.item_ids,
        }

    def __post_init__(self) -> None:
        _check_ids("an item id", self.item_ids)
        # These are stored with what is shown, and PostgreSQL stores no NUL.
        texts = self.channel, self.platform, self.country, self.page
        _check_ids("a text of the context", texts)


class PlacementRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One slot to fill."""

    id: Id
    count: Annotated[
        Count | None,
        Meta(description="How many items or banners; by default what the placement says."),
    ] = None
    exclude_item_ids: ExcludedItems = ()

    def __post_init__(self) -> None:
        _check_ids("a placement id", (self.id,))
        _check_ids("an excluded item id", self.exclude_item_ids)


class Preview(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As whom, when and with what a page is looked at; the shopper is the `user` of the request."""

    at: Annotated[UtcTime | None, Meta(description="By default now.")] = None
    variants: Annotated[
        dict[str, str],
        Meta(max_length=50, description="Variant by rollout, whatever the rollout would say."),
    ] = {}  # msgspec copies an empty default for each struct
    segments: Annotated[
        tuple[Id, ...] | None,
        Meta(description="The segments the shopper is in, by priority, instead of their own."),
    ] = None
    drafts: Annotated[
        Drafts, Meta(description="Documents that are not saved, in place of the stored ones.")
    ] = Drafts()


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to answer."""

    deadline_ms: Annotated[
        DeadlineMs | None,
        Meta(description="When it is near, a less personal tier answers; 50 unless set."),
    ] = None
    explain: Annotated[
        bool, Meta(description="Add the parts of each score; needs a merchandiser key.")
    ] = False
    why: Annotated[
        tuple[Id, ...],
        Meta(
            max_length=MAX_WHY,
            description="Items or banners of which each slate says why they are not there; needs a "
            "merchandiser key.",
        ),
    ] = ()
    preview: Annotated[
        Preview | None,
        Meta(description="Answers as if, and logs nothing; needs a merchandiser key."),
    ] = None

    @property
    def is_for_merchandisers(self) -> bool:
        """Whether a publishable key may not ask for this."""
        return self.explain or bool(self.why) or self.preview is not None


Placements = Annotated[tuple[PlacementRequest, ...], Meta(min_length=1, max_length=MAX_PLACEMENTS)]


class ServeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page: its placements in the order in which they choose, the most important first."""

    placements: Placements
    user: User = User()
    context: Context = msgspec.field(default_factory=Context)
    options: Options = Options()
