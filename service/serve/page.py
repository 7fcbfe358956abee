"""What a client gets: the answer of ``POST /v1/serve`` and ``GET /v1/placements/{id}``.

Structs here hold no cycles, so the garbage collector need not know the dozens that a page makes.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from service.exposure import Tier

Degraded = Literal[
    "no_model", "store_unavailable", "deadline", "no_candidates", "disabled", "not_configured"
]
"""Why a less personal tier answered than the recipe wished, or why the slot is empty."""


class RolloutAnswer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Which arm of which rollout the slate belongs to."""

    key: str
    variant: str
    reason: str
    epoch: int
    detail: Annotated[
        str | None,
        Meta(description="Why exactly: `NOT_ENROLLED`, `AUDIENCE`, `HOLDOUT`, `FORCED`, ..."),
    ] = None


class Parts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The summands of a personal score."""

    graph: float
    factors: float
    popularity: float


Reason = Literal[
    "shown",
    "no_model",
    "not_in_catalogue",
    "switched_off",
    "hidden",
    "hidden_by_rule",
    "unavailable",
    "purchased",
    "excluded",
    "page_item",
    "on_page",
    "brand_cap",
    "category_cap",
    "rule_cap",
    "explored_away",
    "ranked_below",
    "not_a_candidate",
    "not_live",
    "not_in_audience",
    "resting",
    "barred",
]
"""Why something is not in a slate."""


class WhyNot(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Why an item or a banner is not in a slate."""

    id: str
    reason: Annotated[
        Reason,
        Meta(
            description="`shown`: it is there. `page_item`: the page is about it. `excluded`: by "
            "the request. `on_page`: in another slot. `explored_away`: chance put another one there"
        ),
    ]
    position: Annotated[int | None, Meta(description="Where it stands, if it does.")] = None
    rank: Annotated[int | None, Meta(description="Among all that may stand there.")] = None
    score: float | None = None
    score_needed: Annotated[
        float | None, Meta(description="Of the last one there, where the two can be compared.")
    ] = None
    source: str | None = None
    rule: Annotated[str | None, Meta(description="The rule in the way, if one is.")] = None
    placement: Annotated[str | None, Meta(description="The other slot where it stands.")] = None


class SkippedPin(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A pin that does not stand."""

    id: Annotated[str | None, Meta(description="What would stand there, if the rule names it.")]
    reason: Annotated[
        str,
        Meta(
            description="`hidden`, `hidden_by_rule`, `unavailable`, `purchased`, `barred` (on the "
            "page already, or excluded), `brand_cap`, `category_cap`, `rule_cap`, `outranked` by "
            "another pin, `beyond_slate`, `nothing_fits`; of banners also `not_live`, `resting`, "
            "`not_in_audience`"
        ),
    ]
    by_rule: Annotated[str | None, Meta(description="The rule in the way, if one is.")]


class RuleNote(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A rule that was in effect for a slate, and what it did there."""

    id: str
    name: str | None
    action: str
    ids: Annotated[
        tuple[str, ...], Meta(description="What stands in the slate that it pinned or moved.")
    ]
    skipped: tuple[SkippedPin, ...]


class ServedItem(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One item of a slate."""

    id: str
    position: Annotated[int, Meta(description="1-based rank.")]
    score: Annotated[
        float | None,
        Meta(description="Comparable only inside one slate and source; null on a static list."),
    ]
    source: Annotated[
        str,
        Meta(
            description="What brought the item here: `graph`, `similar`, `country`, `explore`, ..."
        ),
    ]
    because: Annotated[
        str | None,
        Meta(description="The item of the history, or of the page, that spoke for this one."),
    ]
    propensity: Annotated[
        float,
        Meta(description="Probability of this item at this position, after the slates before it."),
    ]
    attributes: Annotated[
        msgspec.Raw, Meta(description="What the catalogue says: title, price, image_url, url, ...")
    ]
    parts: Annotated[
        Parts | msgspec.UnsetType | None,
        Meta(description="With `explain`: the summands of a personal score, else null."),
    ] = msgspec.UNSET


class ServedBanner(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One banner of a slate."""

    id: str
    position: int
    title: str
    image_url: str
    link_url: str
    source: str
    propensity: float


class ItemSlate(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="kind", tag="items"):
    """A placement filled with items."""

    id: str
    exposure_id: Annotated[str, Meta(description="Send it with the clicks and orders that follow.")]
    tier: Annotated[
        Tier, Meta(description="The most personal tier that gave an item of this slate.")
    ]
    degraded: Degraded | None
    rollout: RolloutAnswer | None
    items: tuple[ServedItem, ...]
    rules: Annotated[
        tuple[RuleNote, ...] | msgspec.UnsetType,
        Meta(description="With `explain`: the rules in effect, and what they did."),
    ] = msgspec.UNSET
    why: Annotated[
        tuple[WhyNot, ...] | msgspec.UnsetType, Meta(description="The answers to `why`.")
    ] = msgspec.UNSET


class BannerSlate(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="kind", tag="banners"
):
    """A placement filled with banners."""

    id: str
    exposure_id: str
    tier: Tier
    degraded: Degraded | None
    rollout: RolloutAnswer | None
    banners: tuple[ServedBanner, ...]
    rules: tuple[RuleNote, ...] | msgspec.UnsetType = msgspec.UNSET
    why: tuple[WhyNot, ...] | msgspec.UnsetType = msgspec.UNSET


Slate = ItemSlate | BannerSlate


class Page(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The slates of a page, in the order of the request."""

    request_id: str
    model_version: Annotated[
        str | None,
        Meta(description="Null while no model is live; the static lists are served then."),
    ]
    took_ms: float
    placements: tuple[Slate, ...]
