"""A visitor: whom a rollout is evaluated for, and everything an audience may ask about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, Protocol

import msgspec

from service.rollouts.bucketing import UnitKind, sized


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


class RuleMembers:
    """A segment that a rule makes: who is in depends on the request, and not on ids alone."""

    def __init__(self, holds: Callable[[Visitor], bool]) -> None:
        self.holds = holds

    def has(self, user_key: str | None, anonymous_key: str | None) -> bool:
        """Say no: ids alone tell nothing."""
        return False


NO_SEGMENTS: Mapping[str, Members] = {}

MomentSegment = Callable[[], str | None]
"""Names the segment that a visitor is in at this moment, by what they just did."""


class Visitor:
    """One person at one moment; keys are pseudonyms. Not shared between requests."""

    __slots__ = (
        "_digests",
        "_memberships",
        "_moment",
        "_sized",
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
        moment: MomentSegment | None = None,
    ) -> None:
        self.user_key = user_key
        self.anonymous_key = anonymous_key
        self.now_ms = now_ms
        self.attributes = attributes or {}
        self.segments = segments
        self.person = person_of(user_key, anonymous_key) if person is None else person
        self._digests: dict[blake2b, tuple[str, bytes]] = {}
        self._memberships: dict[str, bool] = {}
        self._moment = moment
        self._sized: dict[str, bytes] = {}

    def is_in(self, segment: str) -> bool:
        """Say whether the visitor is in a segment, looked up once."""
        found = self._memberships.get(segment)
        if found is None:
            members = self.segments.get(segment)
            if isinstance(members, RuleMembers):
                found = members.holds(self)
            elif members is not None:
                found = members.has(self.user_key, self.anonymous_key)
            else:
                found = self._moment is not None and self._moment() == segment
            self._memberships[segment] = found
        return found

    def digest(self, line: blake2b, unit: Unit) -> bytes:
        """Place a unit on a line: `bucketing.bucket_of` it is what `bucketing.bucket` says."""
        part = self._sized.get(unit.key)
        if part is None:
            part = self._sized[unit.key] = sized(unit.key)
        hashed = line.copy()
        hashed.update(part)
        return hashed.digest()

    def shared_digest(self, line: blake2b, unit: Unit) -> bytes:
        """Place a unit on a line that many rollouts share, holdout or layer, hashed once."""
        found = self._digests.get(line)
        if found is None or found[0] != unit.key:
            found = self._digests[line] = (unit.key, self.digest(line, unit))
        return found[1]
