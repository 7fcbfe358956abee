"""What each rule did to a slate, for `explain`."""

from __future__ import annotations

from collections.abc import Iterable

from service.control.rule import Rule
from service.serve.banner_picks import BannerPick
from service.serve.banners import PinnedBanners
from service.serve.items import Picked
from service.serve.page import RuleNote, SkippedPin
from service.serve.pins import PIN, Skipped
from service.serve.rules import ActingRules


def item_notes(rules: ActingRules | None, picked: Picked) -> tuple[RuleNote, ...]:
    """Say what the rules in effect did to a slate of items."""
    if rules is None:
        return ()
    pins = {pick.item.id: rule for pick, rule in picked.pinned.values()}
    ranked = [(pick.item.row, pick.item.id) for pick, _ in picked.placed if pick.source != PIN]
    return _notes(rules, pins, ranked, picked.skipped)


def banner_notes(
    rules: ActingRules | None, placed: Iterable[tuple[BannerPick, float]], pinned: PinnedBanners
) -> tuple[RuleNote, ...]:
    """Say what the rules in effect did to a slate of banners."""
    if rules is None:
        return ()
    pins = {pick.banner.id: rule for pick, rule in pinned.picks.values()}
    ranked = [(-1, pick.banner.id) for pick, _ in placed if pick.source != PIN]
    return _notes(rules, pins, ranked, pinned.skipped)


def _notes(
    rules: ActingRules,
    pins: dict[str, Rule],
    ranked: list[tuple[int, str]],
    skipped: list[Skipped],
) -> tuple[RuleNote, ...]:
    acted: dict[str, list[str]] = {rule.id: [] for rule in rules.rules}
    for pinned_id, rule in pins.items():
        acted[rule.id].append(pinned_id)
    for row, one in ranked:
        for rule in rules.acting_on(row, one):
            acted[rule.id].append(one)
    return tuple(
        RuleNote(
            id=rule.id,
            name=rule.name,
            action=rule.action,
            ids=tuple(acted[rule.id]),
            skipped=tuple(
                SkippedPin(id=one.id, reason=one.reason, by_rule=one.by_rule)
                for one in skipped
                if one.rule.id == rule.id
            ),
        )
        for rule in rules.rules
    )
