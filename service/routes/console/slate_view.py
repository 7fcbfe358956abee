"""Slates for people: titles, pictures and prices instead of ids, and what changed between two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import msgspec

from service.routes.console.slate_words import DEGRADED, RANKED, REASONS, SKIPPED, SOURCES
from service.serve.page import BannerSlate, ItemSlate, Parts, RuleNote, Slate, WhyNot

Mark = Literal["", "new", "up", "down"]


@dataclass(frozen=True, slots=True)
class Card:
    """One item or banner as a picture with words."""

    id: str
    title: str
    image_url: str = ""
    price: float | None = None
    is_banner: bool = False
    position: int = 0
    source: str = ""
    reason: str = ""
    """Why it stands there, in words."""
    score: float | None = None
    propensity: float = 1.0
    parts: Parts | None = None
    mark: Mark = ""
    was: int = 0
    """Its position before; 0 if it did not stand there."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Why one item is not there."""

    card: Card
    text: str
    score: float | None
    score_needed: float | None
    is_shown: bool


@dataclass(frozen=True, slots=True)
class RuleLine:
    """What a rule did."""

    id: str
    name: str
    action: str
    acted: list[Card]
    skipped: list[str]


@dataclass(frozen=True, slots=True)
class SlateView:
    """One placement as it would be seen."""

    id: str
    kind: Literal["items", "banners"]
    tier: str
    trouble: str
    rollout: str
    variant: str
    detail: str
    cards: list[Card]
    rules: list[RuleLine] = field(default_factory=list)
    why: list[Answer] = field(default_factory=list)
    gone: list[Card] = field(default_factory=list)
    is_changed: bool = False


NameOf = Callable[[str], Card]
"""Finds title and picture of an item or a banner."""


def view_slate(slate: Slate, name_of: NameOf) -> SlateView:
    """Write a slate for people."""
    rollout = slate.rollout
    return SlateView(
        id=slate.id,
        kind="items" if isinstance(slate, ItemSlate) else "banners",
        tier=slate.tier,
        trouble="" if slate.degraded is None else DEGRADED[slate.degraded],
        rollout="" if rollout is None else rollout.key,
        variant="" if rollout is None else rollout.variant,
        detail="" if rollout is None else rollout.detail or rollout.reason,
        cards=_item_cards(slate, name_of) if isinstance(slate, ItemSlate) else _banner_cards(slate),
        rules=[_rule_line(note, name_of) for note in slate.rules or ()],
        why=[
            _answer(one, name_of) for one in slate.why or () if _is_asked_here(slate, one, name_of)
        ],
    )


def mark_changes(before: SlateView, after: SlateView) -> SlateView:
    """Say on each card of `after` how it came there, and list what is gone."""
    was = {card.id: card.position for card in before.cards}
    now = {card.id for card in after.cards}
    gone = [card for card in before.cards if card.id not in now]
    cards = [
        replace(card, was=was.get(card.id, 0), mark=_mark(card, was.get(card.id, 0)))
        for card in after.cards
    ]
    changed = bool(gone) or [one.id for one in before.cards] != [one.id for one in after.cards]
    return replace(after, cards=cards, gone=gone, is_changed=changed)


def _mark(card: Card, before: int) -> Mark:
    if not before:
        return "new"
    if before == card.position:
        return ""
    return "up" if before > card.position else "down"


def _is_asked_here(slate: Slate, why: WhyNot, name_of: NameOf) -> bool:
    """Say whether a slate of this kind could hold it: nobody looks for a banner among items."""
    if why.reason != "not_in_catalogue":
        return True
    return isinstance(slate, ItemSlate) and not name_of(why.id).is_banner


def _item_cards(slate: ItemSlate, name_of: NameOf) -> list[Card]:
    cards = []
    for item in slate.items:
        card = card_of(item.id, bytes(item.attributes))
        words = SOURCES.get(item.source, item.source)
        if item.because is not None:
            words = f"{words} {name_of(item.because).title}"
        cards.append(
            replace(
                card,
                position=item.position,
                source=item.source,
                reason=words,
                score=item.score,
                propensity=item.propensity,
                parts=item.parts or None,
            )
        )
    return cards


def _banner_cards(slate: BannerSlate) -> list[Card]:
    return [
        Card(
            id=banner.id,
            title=banner.title,
            image_url=banner.image_url,
            position=banner.position,
            source=banner.source,
            reason=SOURCES.get(banner.source, banner.source),
            propensity=banner.propensity,
        )
        for banner in slate.banners
    ]


def _rule_line(note: RuleNote, name_of: NameOf) -> RuleLine:
    skipped = []
    for one in note.skipped:
        why = SKIPPED.get(one.reason, one.reason)
        by = f" (rule {one.by_rule})" if one.by_rule else ""
        what = name_of(one.id).title if one.id else "Nothing"
        skipped.append(f"{what} does not stand there: {why}{by}.")
    return RuleLine(
        id=note.id,
        name=note.name or note.id,
        action=note.action,
        acted=[name_of(one) for one in note.ids],
        skipped=skipped,
    )


def _answer(why: WhyNot, name_of: NameOf) -> Answer:
    source = why.source or ""
    if why.reason == "ranked_below" and why.rank is None:
        far = "It ranks too far down to be counted."
        text = "Others are expected to be clicked more." if source else far
        return Answer(name_of(why.id), text, None, None, is_shown=False)
    text = REASONS[why.reason].format(
        position=why.position,
        rule=why.rule,
        placement=why.placement,
        rank=_ordinal(why.rank or 0),
        source=RANKED.get(source, "the shopper likes" if source else "is known"),
    )
    return Answer(
        card=name_of(why.id),
        text=text,
        score=why.score,
        score_needed=why.score_needed,
        is_shown=why.reason == "shown",
    )


def _ordinal(n: int) -> str:
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"


def card_of(item_id: str, attributes: bytes) -> Card:
    """Read what a catalogue says of an item; a field of another shape is left out."""
    try:
        said = msgspec.json.decode(attributes or b"{}")
    except msgspec.DecodeError:
        said = {}
    title, image_url, price = (
        said.get(name) if isinstance(said, dict) else None
        for name in ("title", "image_url", "price")
    )
    return Card(
        id=item_id,
        title=title if isinstance(title, str) and title else item_id,
        image_url=image_url if isinstance(image_url, str) else "",
        price=float(price) if isinstance(price, int | float) else None,
    )
