"""Who of the people seen lately is in the global holdout, now and at another share. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from service.rollouts.bucketing import bucket
from service.rollouts.layer import Holdout
from service.stores.known_visitors import KnownVisitor

MAX_GROUPS = 6
GROUPS = ("country", "platform", "channel")
_ALL = ("", "")


class Held(NamedTuple):
    """Some people, and how many of them are held out."""

    name: str
    n_units: int
    n_now: int
    n_then: int


class HeldOut(NamedTuple):
    """Everybody who was seen, and the same by group, the largest first."""

    all: Held
    groups: list[Held]


def count_held_out(visitors: Iterable[KnownVisitor], now: Holdout, then_ppm: int) -> HeldOut:
    """Place each unit once, as it was last seen; `visitors` come the newest first."""
    seen: set[str] = set()
    counts: dict[tuple[str, str], list[int]] = {}
    for one in visitors:
        if one.unit_key in seen or one.unit_kind not in ("user_id", "anonymous_id"):
            continue
        seen.add(one.unit_key)
        kind = "user_id" if one.unit_kind == "user_id" else "anonymous_id"
        place = bucket("holdout", now.salt, kind, one.unit_key)  # type: ignore[arg-type]  # of two
        for group in (_ALL, *((name, getattr(one, name) or "unknown") for name in GROUPS)):
            count = counts.setdefault(group, [0, 0, 0])
            count[0] += 1
            count[1] += place < now.share_ppm
            count[2] += place < then_ppm
    whole = Held("", *counts.pop(_ALL, [0, 0, 0]))
    groups = []
    for name in GROUPS:
        of_it = [Held(f"{name} {value}", *n) for (kind, value), n in counts.items() if kind == name]
        groups += sorted(of_it, key=lambda one: -one.n_units)[:MAX_GROUPS]
    return HeldOut(whole, groups)
