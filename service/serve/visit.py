"""A visit: what one request says of its shopper and page, resolved against the shelf."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import msgspec
from msgspec import field

from models.vocabulary import MISSING_ROW
from service.rollouts.segment import INTENT_PREFIX
from service.rollouts.visitor import NO_SEGMENTS, Members, Person, Unit, Visitor
from service.serve.exploration import MS_PER_HOUR
from service.serve.handover import Handover
from service.serve.intent import intent_of
from service.serve.page import Degraded
from service.serve.profile import Profile
from service.serve.rates import RateTable
from service.serve.request import Context


class Visit(msgspec.Struct):
    """One request while it is decided. Keys are pseudonyms; without consent there are none."""

    request_id: str
    context: Context
    context_rows: list[int]
    """Rows of the context's items that the model knows."""
    user_key: str | None
    anonymous_key: str | None
    session_key: str | None
    profile: Profile | None
    """Nothing without consent, without an id, or without a model."""
    trouble: Degraded | None
    """Why the newest events are not in the profile, if they are not."""
    explain: bool
    """Whether the answer says what each score is made of."""
    now_ms: int
    is_late: Callable[[], bool]
    """Whether the deadline is so near that nothing long may begin."""
    segments: Mapping[str, Members] = field(default_factory=lambda: NO_SEGMENTS)
    """Uploaded lists and segments of the model, by key."""
    person: Person | None = None
    """Whom rollouts deal; by default the user, else the anonymous visitor."""
    is_preview: bool = False
    """Whether the answer is for a merchandiser's eyes: nothing is remembered or logged."""
    forced: Mapping[str, str] = field(default_factory=dict)
    """Variants that a preview asks for, by rollout."""
    why: tuple[str, ...] = ()
    """Items and banners of which the answer says why they are not there."""
    as_segments: tuple[str, ...] | None = None
    """The segments that a preview puts the shopper in, instead of their own."""
    resting: frozenset[str] = frozenset()
    """Banners that the visitor has seen as often as their caps allow."""
    rates: RateTable | None = None
    """Learned click rates of banners."""
    period_ms: int = MS_PER_HOUR
    """How long they stand."""
    handover: Handover | None = None
    """What is charged for the page, if it is a shopper's first under a new model."""
    as_text: bool = False
    """Whether slates of items become JSON at once: nobody looks into the answer or the log."""
    _visitor: Visitor | None = None

    @property
    def visitor(self) -> Visitor:
        """Whom rollouts are evaluated for, made when the first one asks."""
        if self._visitor is None:
            profile = self.profile
            if self.trouble is not None or self.as_segments is not None:
                profile = None  # whose events are not known, or not asked
            self._visitor = Visitor(
                self.user_key,
                self.anonymous_key,
                now_ms=self.now_ms,
                attributes=self.context.for_audiences(),
                segments=self.segments,
                person=self.person,
                # Not a method of the visit: the two in a circle would be left to the collector.
                moment=None if profile is None else partial(_moment_segment, profile, self.now_ms),
            )
        return self._visitor

    @property
    def own_segments(self) -> Sequence[str]:
        """Keys of the model's segments that the shopper is in, by falling priority."""
        if self.as_segments is not None:
            return self.as_segments
        return () if self.profile is None else self.profile.segments

    @property
    def segment(self) -> str | None:
        """The one of the shopper's segments that says most about what to show."""
        segments = self.own_segments
        return segments[0] if segments else None

    @property
    def unit(self) -> Unit | None:
        """Whom draws are made for: whom rollouts deal, so that they do not flicker either."""
        return self.visitor.person.unit


def _moment_segment(profile: Profile, now_ms: int) -> str:
    """Name the segment of the shopper's intent."""
    stock = profile.stock

    def category_of(item_id: str) -> int | None:
        row = stock.row(item_id)
        category_row = MISSING_ROW if row == MISSING_ROW else stock.item(row).category_row
        return None if category_row == MISSING_ROW else category_row

    return f"{INTENT_PREFIX}{intent_of(profile.recent, now_ms, category_of)}"
