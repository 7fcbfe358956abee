"""A rule as a merchandiser writes it: what it does, to what, where, when and for whom.

`service.serve.rules` compiles it. Hide goes before caps, caps before pins, pins before the ranking;
of two pins on one position the higher priority has it, then the smaller id.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from models.events import ExternalId
from models.ids import check_id
from service.rollouts.conditions import Condition, check_audience
from service.rollouts.definition import Recipe
from service.rollouts.fields import Label, Name, Revision
from service.rollouts.schedule import ScheduleTime, TimeZone, check_schedule

RuleAction = Literal["pin", "boost", "bury", "hide", "cap"]
CapPer = Literal["brand", "category", "selection"]

MAX_POSITION = 100
MAX_FACTOR = 1000.0

Text = Annotated[str, Meta(min_length=1, max_length=256)]
Price = Annotated[float, Meta(ge=0)]

_NEEDS: dict[RuleAction, tuple[str, ...]] = {
    "pin": ("position",),
    "boost": ("factor",),
    "bury": ("factor",),
    "hide": (),
    "cap": ("max_items", "per"),
}


def _is_given(value: object) -> bool:
    return value is not None and value is not False and value != ()


class Selection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which items, or which banners. Every field given must fit; of a list one entry is enough."""

    item_ids: Annotated[
        tuple[ExternalId, ...],
        Meta(max_length=1000, description="these; a pin takes the first that may be shown"),
    ] = ()
    categories: Annotated[
        tuple[Text, ...],
        Meta(max_length=100, description="in one of these category paths, or below"),
    ] = ()
    brands: Annotated[tuple[Text, ...], Meta(max_length=100, description="of one of these")] = ()
    attributes: Annotated[
        tuple[Text, ...],
        Meta(
            max_length=100,
            description="with one of these attributes, `name:value`, or words of the title",
        ),
    ] = ()
    price_at_least: Price | None = None
    price_below: Price | None = None
    new_for_days: Annotated[
        Annotated[int, Meta(ge=1, le=3650)] | None,
        Meta(description="in the catalogue since at most so many days"),
    ] = None
    without_interactions: Annotated[
        bool, Meta(description="only items that nobody had met when the model was trained")
    ] = False
    banner_ids: Annotated[
        tuple[ExternalId, ...],
        Meta(max_length=1000, description="these banners; the rule is then about banners only"),
    ] = ()

    def __post_init__(self) -> None:
        for name in ("item_ids", "banner_ids", "categories", "brands", "attributes"):
            values: tuple[str, ...] = getattr(self, name)
            if len(set(values)) != len(values):
                twice = next(one for place, one in enumerate(values) if one in values[:place])
                raise ValueError(f"{name} holds {twice!r} twice; list each once")
        for each in (*self.item_ids, *self.banner_ids):
            check_id(each, "an id of the selection")
        about_items = (getattr(self, name) for name in self.__struct_fields__[:-1])
        if self.banner_ids and any(map(_is_given, about_items)):
            raise ValueError(
                "banner_ids selects banners and the other fields items; make a rule for each"
            )
        if (
            self.price_at_least is not None
            and self.price_below is not None
            and self.price_below <= self.price_at_least
        ):
            raise ValueError(
                f"price_below {self.price_below:g} is not above price_at_least "
                f"{self.price_at_least:g}; swap them or leave one out"
            )

    @property
    def is_by_id(self) -> bool:
        """Whether it names items and asks nothing else of them."""
        others = self.__struct_fields__[1:]
        return bool(self.item_ids) and not any(_is_given(getattr(self, one)) for one in others)

    @property
    def is_everything(self) -> bool:
        """Whether no field is given."""
        return not any(_is_given(getattr(self, name)) for name in self.__struct_fields__)


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a merchandiser wants beside, or against, the ranking."""

    id: Annotated[str, Meta(description="set from the path")] = ""
    name: Label | None = None
    action: Annotated[
        RuleAction,
        Meta(
            description="`pin` to a position, `boost` or `bury` by a factor of the score, `hide`, "
            "or `cap` how many stand in one slate"
        ),
    ]
    select: Selection = Selection()
    position: Annotated[
        Annotated[int, Meta(ge=1, le=MAX_POSITION)] | None,
        Meta(description="of a pin, counted from 1"),
    ] = None
    factor: Annotated[
        Annotated[float, Meta(gt=0, le=MAX_FACTOR)] | None,
        Meta(description="multiplies the score: above 1 in a boost, below 1 in a bury"),
    ] = None
    max_items: Annotated[
        Annotated[int, Meta(ge=1, le=MAX_POSITION)] | None,
        Meta(description="of a cap: at most so many in one slate"),
    ] = None
    per: Annotated[
        CapPer | None,
        Meta(description="of a cap: of each brand, of each category, or of all it selects"),
    ] = None
    placements: Annotated[
        tuple[ExternalId, ...], Meta(max_length=100, description="only in these; all if empty")
    ] = ()
    recipes: Annotated[
        tuple[Recipe, ...],
        Meta(max_length=7, description="only where one of these fills the slate; all if empty"),
    ] = ()
    variants: Annotated[
        tuple[Name, ...],
        Meta(
            max_length=21,
            description="only in these variants of the placement's rollout; all if empty",
        ),
    ] = ()
    in_control: Annotated[
        bool,
        Meta(
            description="false leaves the static list of a rollout's control as it is written; "
            "the report then counts the rule to the treatment"
        ),
    ] = True
    starts_at: Annotated[ScheduleTime | None, Meta(description="does nothing before")] = None
    ends_at: Annotated[ScheduleTime | None, Meta(description="does nothing from then on")] = None
    time_zone: TimeZone | None = None
    audience: Annotated[
        Condition | None, Meta(description="only for visitors for whom it holds")
    ] = None
    priority: Annotated[
        int, Meta(ge=-1000, le=1000, description="of two pins on one position the higher has it")
    ] = 0
    enabled: Annotated[bool, Meta(description="false does nothing")] = True
    revision: Revision = 0

    def __post_init__(self) -> None:
        self._check_values()
        if self.select.is_everything and self.action != "cap":
            raise ValueError(
                f"a {self.action} that selects nothing in particular would be about every item; "
                "say in select which items or banners are meant"
            )
        if self.select.banner_ids and self.action == "cap":
            raise ValueError("a cap counts items; cap how often a banner is seen with its own cap")
        check_schedule(self.starts_at, self.ends_at, self.time_zone)
        if self.audience is not None:
            check_audience(self.audience)

    @property
    def is_about_banners(self) -> bool:
        """Whether it selects banners, so that slates of items do not know it."""
        return bool(self.select.banner_ids)

    def _check_values(self) -> None:
        needed = _NEEDS[self.action]
        for name in ("position", "factor", "max_items", "per"):
            value: Any = getattr(self, name)
            if name in needed and value is None:
                raise ValueError(f"a {self.action} needs {name}; give it one")
            if name not in needed and value is not None:
                raise ValueError(f"a {self.action} has no {name}; leave it out")
        factor = self.factor
        if factor is not None and (factor <= 1 if self.action == "boost" else factor >= 1):
            bound = "above" if self.action == "boost" else "below"
            raise ValueError(f"factor {factor:g} of a {self.action} is not {bound} 1; use one")
