"""An exposure: a slate shown to a unit, with everything a report or a policy estimate needs later.

Serving makes one per placement, intake stores it; nobody recomputes what it says.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Tier = Literal["personal", "segment", "popular", "static"]
UnitKind = Literal["user_id", "anonymous_id"]


class Shown(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One item or banner of a slate."""

    id: str
    position: int
    """1-based rank."""
    score: float | None = None
    source: str
    because: str | None = None
    propensity: float
    """Probability that this item stood at this position under the logging policy, (0, 1]."""
    fit: str | None = None
    """Of a banner: how well it matched, see `service.fits`; absent where nobody asked."""


class Candidate(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A banner that might have stood in a slate where chance had a say."""

    id: str
    score: float
    """By falling score they would have stood there without chance."""
    fit: str


class Exposure(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One slate, graded ``assigned``. Keys are pseudonyms; without consent they are absent."""

    exposure_id: str
    request_id: str
    at_ms: int
    unit_kind: UnitKind | None
    unit_key: str | None
    """What a rollout hashed: the user's pseudonym, else the anonymous visitor's."""
    user_key: str | None
    anonymous_key: str | None
    session_key: str | None
    placement_id: str
    kind: Literal["items", "banners"]
    recipe: str
    tier: Tier
    degraded: str | None
    rollout_key: str | None
    variant: str | None
    reason: str | None
    epoch: int | None
    model_version: str | None
    country: str | None
    channel: str | None
    platform: str | None
    page: str | None
    crossover: bool = False
    """Whether the same person, as another unit, is dealt another variant of the rollout."""
    segment: str | None = None
    """Of a slate of banners: the trainer's segment that click rates were read for."""
    candidates: tuple[Candidate, ...] = ()
    """Of a slate of banners: all that could have stood there, by falling affinity, if chance had a
    say; what another policy would have shown is read from them."""
    shown: tuple[Shown, ...]
