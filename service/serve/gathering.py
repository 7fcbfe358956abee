"""Gathering: who a visitor is and what they did last, from the stores, as far as there is time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import msgspec
import structlog

from models.pseudonym import Pseudonymiser
from service.rollouts.visitor import Person
from service.serve.caps import Cap, ViewSource, resting_banners
from service.serve.page import Degraded
from service.serve.recent import PersonSource, RecentEvent, RecentSource
from service.serve.request import User
from service.serve.visit import Visit

log = structlog.get_logger(__name__)


class Keys(msgspec.Struct, frozen=True, gc=False):
    """Pseudonyms of a visitor's ids; none without consent."""

    user: str | None
    anonymous: str | None
    session: str | None

    @property
    def is_nobody(self) -> bool:
        """Whether there is no id that anything could be known of."""
        return (self.user or self.anonymous) is None


class Known(msgspec.Struct, frozen=True, gc=False):
    """What was found out about a visitor."""

    person: Person
    recent: Sequence[RecentEvent]
    trouble: Degraded | None = None


class Gathering:
    """Asks the stores, and gives up in time."""

    def __init__(
        self,
        recent: RecentSource,
        people: PersonSource,
        monotonic_s: Callable[[], float],
    ) -> None:
        self._recent = recent
        self._people = people
        self._monotonic_s = monotonic_s
        self.failed_reads = 0
        """Requests whose newest events could not be read."""
        self.late_reads = 0
        """Requests whose newest events did not come in time."""

    def at_once(self, keys: Keys, *, has_model: bool) -> Known | None:
        """Return what takes no waiting to find out; nothing if something has to be read."""
        recent: Sequence[RecentEvent] | None = ()
        if has_model and not keys.is_nobody:
            recent = self._recent.cached(keys.user, keys.anonymous)
        person = self._people.cached(keys.user, keys.anonymous)
        return None if recent is None or person is None else Known(person, recent)

    async def find_out(
        self, keys: Keys, late_s: float, *, has_model: bool, is_preview: bool
    ) -> Known:
        """Read what is not known yet, until `late_s`."""
        reading: asyncio.Task[Sequence[RecentEvent]] | None = None
        recent: Sequence[RecentEvent] | None = ()
        if has_model and not keys.is_nobody:
            recent = self._recent.cached(keys.user, keys.anonymous)
            if recent is None:  # read while it is found out who this is
                reading = asyncio.create_task(self._recent.read(keys.user, keys.anonymous))
        left_s = late_s - self._monotonic_s()
        # Two ids that meet are brought together and written down, which a preview must not do.
        is_alone = is_preview and keys.user is not None
        device_key = None if is_alone else keys.anonymous
        person = await self._people.person(keys.user, device_key, left_s)
        trouble: Degraded | None = None
        if reading is not None:
            recent, trouble = await self._finish(reading, late_s)
        return Known(person, recent or (), trouble)

    async def resting(
        self, views: ViewSource, caps: Mapping[str, Cap], visit: Visit, late_s: float
    ) -> frozenset[str]:
        """Find the banners that are at their cap; who has no id has seen nothing."""
        unit = visit.unit
        # A rollout over anonymous visitors logs these, whoever is signed in.
        keys = (visit.user_key, visit.anonymous_key, None if unit is None else unit.key)
        known = {key for key in keys if key is not None}
        if not known:
            return frozenset()
        seen = await views.views(known, visit.now_ms, late_s - self._monotonic_s())
        return resting_banners(caps, seen, visit.now_ms)

    async def _finish(
        self, reading: asyncio.Task[Sequence[RecentEvent]], late_s: float
    ) -> tuple[Sequence[RecentEvent], Degraded | None]:
        """Wait for the newest events; say what is the matter if they cannot be had in time."""
        try:
            async with asyncio.timeout(max(late_s - self._monotonic_s(), 0.0)):
                return await reading, None
        except TimeoutError:
            self.late_reads += 1
            return (), "deadline"
        except Exception as error:  # whatever the store does, a page is answered
            self.failed_reads += 1
            log.warning("newest events not read", error=repr(error))
            return (), "store_unavailable"


def keys_of(user: User, pseudonymiser: Pseudonymiser) -> Keys:
    """Turn the ids of a request into pseudonyms, if the visitor agreed to be known."""
    if not user.consent:
        return Keys(None, None, None)
    pseudonym = pseudonymiser.pseudonym
    return Keys(
        None if user.user_id is None else pseudonym("user_id", user.user_id),
        None if user.anonymous_id is None else pseudonym("anonymous_id", user.anonymous_id),
        None if user.session_id is None else pseudonym("session_id", user.session_id),
    )
