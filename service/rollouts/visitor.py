"""A visitor: whom a rollout is evaluated for, and everything an audience may ask about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from service.rollouts.bucketing import Stage, UnitKind, bucket_under


class Unit(msgspec.Struct, frozen=True, gc=False):
    """Whom a rollout hashes. `key` is the pseudonym of the id, as in `Exposure.unit_key`."""

    kind: UnitKind
    key: str


class Person(msgspec.Struct, frozen=True, gc=False):
    """Whom a visitor is dealt as, by what is known of who is who."""

    unit: Unit | None
    """What a rollout over users hashes: the user, unless they were first seen as a visitor."""
    others: tuple[Unit, ...] = ()
    """Units that are this person or device too, and were dealt apart."""


def person_of(user_key: str | None, anonymous_key: str | None) -> Person:
    """Say whom a visitor is dealt as if nothing is known: the user, else the anonymous visitor."""
    if user_key is not None:
        return Person(Unit("user_id", user_key))
    return Person(None if anonymous_key is None else Unit("anonymous_id", anonymous_key))


class Members(Protocol):
    """An uploaded list of units."""

    def has(self, user_key: str | None, anonymous_key: str | None) -> bool:
        """Say whether the user or the visitor, by the kind of id that the list holds, is on it."""


NO_SEGMENTS: Mapping[str, Members] = {}


class Visitor:
    """One person at one moment; keys are pseudonyms. Not shared between requests."""

    __slots__ = (
        "_buckets",
        "anonymous_key",
        "attributes",
        "now_ms",
        "person",
        "segments",
        "user_key",
    )

    def __init__(
        self,
        user_key: str | None,
        anonymous_key: str | None,
        *,
        now_ms: int,
        attributes: Mapping[str, Any] | None = None,
        segments: Mapping[str, Members] = NO_SEGMENTS,
        person: Person | None = None,
    ) -> None:
        self.user_key = user_key
        self.anonymous_key = anonymous_key
        self.now_ms = now_ms
        self.attributes = attributes or {}
        self.segments = segments
        self.person = person_of(user_key, anonymous_key) if person is None else person
        self._buckets: dict[tuple[Stage, bytes, str], int] = {}

    def shared_bucket(self, stage: Stage, prefix: bytes, unit: Unit) -> int:
        """Place a unit in a stage that many rollouts ask about: holdout and layer, hashed once."""
        key = (stage, prefix, unit.key)
        found = self._buckets.get(key)
        if found is None:
            found = self._buckets[key] = bucket_under(stage, prefix, unit.key)
        return found
