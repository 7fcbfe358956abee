"""What a merchandiser sets over HTTP, as stored: placements, banners, rules, rollouts, statuses.

Each document has an id from its path and a revision from the server. A rule between fields is
checked where the struct is made, so a decoded document is a valid one.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from models.events import ExternalId
from models.ids import check_id
from service.control.rule import Rule
from service.rollouts.conditions import Condition, check_audience
from service.rollouts.definition import Recipe, Rollout
from service.rollouts.fields import Label, Revision
from service.rollouts.layer import Holdout, Layer
from service.rollouts.schedule import ScheduleTime, TimeZone, check_schedule
from service.rollouts.segment import Segment

DocumentKind = Literal[
    "placement", "banner", "rule", "rollout", "item", "layer", "holdout", "segment"
]
PlacementKind = Literal["items", "banners"]

MAX_COUNT = 100
DEFAULT_COUNT: dict[PlacementKind, int] = {"items": 12, "banners": 1}
DEFAULT_RECIPE: dict[PlacementKind, Recipe] = {
    "items": "for_you",
    "banners": "banner_for_you",
}
BANNER_RECIPES: frozenset[Recipe] = frozenset({"banner_for_you", "static"})
ITEM_RECIPES: frozenset[Recipe] = frozenset(get_args(Recipe)) - {"banner_for_you"}

Id = Annotated[str, Meta(description="set from the path")]
Url = Annotated[str, Meta(min_length=1, max_length=2048)]
Cap = Annotated[int, Meta(ge=1, le=MAX_COUNT)]


_RUN_BY_BROWSERS = frozenset(
    {"javascript", "vbscript", "data", "blob", "filesystem", "file", "about", "view-source"}
)
"""Schemes that a browser runs or looks into by itself, instead of opening a page or an app."""


def check_link(name: str, url: str) -> None:
    """Raise `ValueError` if a browser would run `url` instead of opening it.

    Links into apps (``myshop://sale``) and paths of the shop are fine.
    """
    if _scheme_of(url) in _RUN_BY_BROWSERS:
        raise ValueError(
            f"{name} {url[:40]!r} runs code in the page, or opens none; link to one with https:, "
            "a path or the scheme of an app"
        )


def check_picture(name: str, url: str) -> None:
    """Raise `ValueError` unless `url` is an address on the web or a path of the shop."""
    if _scheme_of(url) not in ("", "http", "https"):
        raise ValueError(
            f"{name} {url[:40]!r} is no address of a picture; it begins with https: or is a path: "
            "upload the picture with POST /v1/pictures and write the path in the answer"
        )


def _scheme_of(url: str) -> str:
    """Return the scheme as a browser reads it, in lower case; nothing if `url` is a path."""
    # Browsers skip blanks and control characters before and inside a scheme.
    bare = re.sub(r"[\x00-\x20]", "", url)
    found = re.match(r"[A-Za-z][A-Za-z0-9+.-]*(?=:)", bare)
    return found[0].lower() if found else ""


class RecipeFor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a placement is filled for some visitors."""

    audience: Condition
    recipe: Recipe

    def __post_init__(self) -> None:
        check_audience(self.audience)


class Placement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A slot on a page: kind, size, how it is filled, and what stands there without a model."""

    id: Id = ""
    kind: PlacementKind
    name: Label | None = None
    count: Annotated[
        Annotated[int, Meta(ge=1, le=MAX_COUNT)] | None,
        Meta(description="how many stand there when a request does not say; 12 items or 1 banner"),
    ] = None
    recipe: Annotated[
        Recipe | None,
        Meta(description="how it is filled; `for_you` or `banner_for_you`"),
    ] = None
    recipes: Annotated[
        tuple[RecipeFor, ...],
        Meta(
            max_length=20,
            description="how it is filled for some: the first whose audience holds goes before "
            "`recipe`, and a rollout's control and a variant's own recipe before it",
        ),
    ] = ()
    static_ids: Annotated[
        tuple[ExternalId, ...],
        Meta(
            max_length=1000,
            description="the merchandiser's own list: what control sees, and the last tier for all",
        ),
    ] = ()
    rollout: Annotated[
        ExternalId | None,
        Meta(description="key of its rollout; the one named like the placement if absent"),
    ] = None
    explore_share: Annotated[
        float, Meta(ge=0, le=0.5, description="share of the positions given to chance")
    ] = 0.0
    max_per_brand: Annotated[Cap | None, Meta(description="at most so many of a brand")] = None
    max_per_category: Annotated[Cap | None, Meta(description="at most so many of a category")] = (
        None
    )
    only_available: Annotated[bool, Meta(description="leaves out what cannot be bought")] = True
    exclude_purchased: Annotated[
        bool, Meta(description="leaves out what the user has bought, but in `recently_viewed`")
    ] = True
    show_because: Annotated[
        bool,
        Meta(
            description="false neither answers nor stores which item of the shopper's history "
            "spoke for an item"
        ),
    ] = True
    enabled: Annotated[
        bool, Meta(description="false leaves it empty, with `degraded` as `disabled`")
    ] = True
    revision: Revision = 0

    def __post_init__(self) -> None:
        allowed = recipes_of(self.kind)
        named = [] if self.recipe is None else [self.recipe]
        unfit = next((one for one in (*named, *_recipes(self)) if one not in allowed), None)
        if unfit is not None:
            raise ValueError(
                f"recipe {unfit!r} does not fill a placement of kind {self.kind!r}; "
                f"use one of {', '.join(sorted(allowed))}"
            )
        check_ids("static_ids", self.static_ids)

    @property
    def size(self) -> int:
        """How many stand there when a request does not say."""
        return DEFAULT_COUNT[self.kind] if self.count is None else self.count

    @property
    def main_recipe(self) -> Recipe:
        """How it is filled when no variant says otherwise."""
        return DEFAULT_RECIPE[self.kind] if self.recipe is None else self.recipe


def _recipes(placement: Placement) -> list[Recipe]:
    return [one.recipe for one in placement.recipes]


class FrequencyCap(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often one unit may see a banner."""

    max_views: Annotated[int, Meta(ge=1, le=100, description="slates with it, for each unit")]
    hours: Annotated[float, Meta(gt=0, le=720, description="in the last so many hours")]


class Banner(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A picture with a link, and what it advertises."""

    id: Id = ""
    title: Annotated[str, Meta(min_length=1, max_length=300)]
    image_url: Url
    link_url: Url
    categories: Annotated[
        tuple[str, ...],
        Meta(max_length=100, description="category paths that it advertises"),
    ] = ()
    attributes: Annotated[
        tuple[str, ...],
        Meta(max_length=100, description="item attributes that it advertises"),
    ] = ()
    item_ids: Annotated[
        tuple[ExternalId, ...],
        Meta(max_length=1000, description="items that it advertises"),
    ] = ()
    weight: Annotated[
        float,
        Meta(
            ge=0,
            le=1000,
            description="multiplies its chance beside other banners; 0 hides it",
        ),
    ] = 1.0
    cap: Annotated[
        FrequencyCap | None, Meta(description="rests for a unit that has seen it so often")
    ] = None
    starts_at: Annotated[ScheduleTime | None, Meta(description="not shown before")] = None
    ends_at: Annotated[ScheduleTime | None, Meta(description="not shown from then on")] = None
    time_zone: TimeZone | None = None
    audience: Annotated[
        Condition | None, Meta(description="only visitors for whom it holds see it")
    ] = None
    enabled: Annotated[bool, Meta(description="false takes it off every page")] = True
    revision: Revision = 0

    def __post_init__(self) -> None:
        check_distinct("categories", self.categories)
        check_distinct("attributes", self.attributes)
        check_ids("item_ids", self.item_ids)
        check_picture("image_url", self.image_url)
        check_link("link_url", self.link_url)
        check_schedule(self.starts_at, self.ends_at, self.time_zone)
        if self.audience is not None:
            check_audience(self.audience)


class ItemStatus(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is set about an item between two trainings; else the catalogue's word counts."""

    item_id: Id = ""
    available: Annotated[
        bool | None,
        Meta(description="overrides the catalogue; null takes the catalogue's word"),
    ] = None
    hidden: Annotated[bool, Meta(description="never shown anywhere")] = False
    revision: Revision = 0


Document = Placement | Banner | Rule | ItemStatus | Rollout | Layer | Holdout | Segment

DOCUMENT_TYPES: dict[DocumentKind, type[Document]] = {
    "placement": Placement,
    "banner": Banner,
    "rule": Rule,
    "rollout": Rollout,
    "item": ItemStatus,
    "layer": Layer,
    "holdout": Holdout,
    "segment": Segment,
}
ID_FIELDS: dict[DocumentKind, str] = {
    "placement": "id",
    "banner": "id",
    "rule": "id",
    "rollout": "key",
    "item": "item_id",
    "layer": "key",
    "holdout": "id",
    "segment": "key",
}


def recipes_of(kind: PlacementKind) -> frozenset[Recipe]:
    """List the recipes that fill a placement of a kind."""
    return ITEM_RECIPES if kind == "items" else BANNER_RECIPES


def check_ids(name: str, ids: tuple[str, ...]) -> None:
    """Raise unless every id is one, and none occurs twice."""
    for each in ids:
        check_id(each, name)
    check_distinct(name, ids)


def check_distinct(name: str, ids: tuple[str, ...]) -> None:
    """Raise `ValueError` if an id occurs twice."""
    if len(set(ids)) != len(ids):
        twice = next(one for place, one in enumerate(ids) if one in ids[:place])
        raise ValueError(f"{name} holds {twice!r} twice; list each once")
