"""The page engine: gathers what a decision needs, within the deadline, and lets `decide` decide.

The only part of serving that waits, reads a clock or makes ids; all of these are given to it.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog

from models.errors import NotFoundError
from models.ids import list_known
from models.pseudonym import Pseudonymiser
from models.ready_candidates import ReadyCandidates
from models.snapshot import Snapshot
from service.control.configuration import Configuration
from service.control.documents import Placement
from service.exposure import Exposure
from service.rollouts.visitor import Person
from service.serve.caps import Cap, ViewSource, resting_banners
from service.serve.decide import Decision, decide_page, switched_off
from service.serve.page import Degraded, Page, Slate
from service.serve.preview import as_previewed, preview_shelf
from service.serve.profiles import Profiles
from service.serve.rates import RateBook
from service.serve.recent import PersonSource, RecentEvent, RecentSource, Strangers
from service.serve.request import PlacementRequest, ServeRequest
from service.serve.shelf import Shelf
from service.serve.stages import Stopwatch
from service.serve.stock import Stock, read_ahead
from service.serve.visit import Visit

DEADLINE_MS = 50
PREVIEW_MS = 5_000
"""The deadline of a preview."""
WORKING_SHARE = 0.8
"""Share of the deadline after which nothing long begins; the rest is for encoding and sending."""

_DRAWN_AT_ONCE = 64
"""Random parts of ids."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Clock:
    """Where the time comes from."""

    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    """Epoch ms."""
    monotonic_s: Callable[[], float] = time.perf_counter


class _Keys(NamedTuple):
    """Pseudonyms of a visitor's ids; none without consent."""

    user: str | None
    anonymous: str | None
    session: str | None


class _Known(NamedTuple):
    """What was found out about a visitor."""

    person: Person
    recent: tuple[RecentEvent, ...]
    trouble: Degraded | None = None


@dataclass
class Engine:
    """Serves pages from whatever is live at the moment of the request."""

    configuration: Callable[[], Configuration]
    snapshot: Callable[[], Snapshot | None]
    recent: RecentSource
    pseudonymiser: Pseudonymiser
    people: PersonSource = field(default_factory=Strangers)
    views: ViewSource | None = None
    """Who saw which banner; without it, caps do not hold."""
    rates: RateBook = field(default_factory=RateBook)
    """Learned click rates of banners."""
    deadline_ms: int = DEADLINE_MS
    clock: Clock = field(default_factory=Clock)
    make_id: Callable[[], str] = field(default_factory=lambda: id_maker(secrets.randbits(256)))
    ready: Callable[[Snapshot, Sequence[int]], ReadyCandidates | None] = lambda _snapshot, _rows: (
        None
    )
    """Where candidates worked out ahead are had, and which users are wanted first."""
    failed_reads: int = 0
    """Requests whose newest events could not be read."""
    late_reads: int = 0
    """Requests whose newest events did not come in time."""
    _shelf: Shelf | None = None
    _prepared: Shelf | None = None
    _stock: Stock | None = None
    """Of the model that was prepared last."""
    _profiles: Profiles = field(default_factory=Profiles)

    async def serve(
        self, request: ServeRequest, watch: Stopwatch | None = None
    ) -> tuple[Page, list[Exposure]]:
        """Decide a page. The caller stores the exposures once the answer is encoded.

        Of a preview there are none.

        `watch` is told when the stages of gathering and of deciding end.

        Raises
        ------
        NotFoundError
            If a placement is not configured.
        """
        watch = watch or Stopwatch(self.clock.monotonic_s)
        preview = request.options.preview
        late_s = self._late_s(request, watch)
        shelf = self.shelf()
        if preview is not None:
            now_ms = self.clock.now_ms()
            shelf = await asyncio.to_thread(
                preview_shelf, shelf, preview, self.pseudonymiser, now_ms
            )
        wanted = find_placements(shelf.configuration, request.placements)
        visit = await self._visit(shelf, request, late_s)
        if preview is not None:
            visit = as_previewed(visit, preview)
        views = self._views(shelf, wanted)
        if views is not None:
            visit.resting = await self._resting(views, shelf.banners.caps, visit, late_s)
        return self._decide(shelf, visit, wanted, watch)

    def serve_at_once(
        self, request: ServeRequest, watch: Stopwatch
    ) -> tuple[Page, list[Exposure]] | None:
        """Decide a page as `serve` does, or return nothing if that would have to wait.

        Raises
        ------
        NotFoundError
            If a placement is not configured.
        """
        shelf = self.shelf()
        wanted = find_placements(shelf.configuration, request.placements)
        if request.options.preview is not None or self._views(shelf, wanted) is not None:
            return None
        keys = self._keys(request)
        recent: tuple[RecentEvent, ...] | None = ()
        if shelf.stock is not None and (keys.user or keys.anonymous) is not None:
            recent = self.recent.cached(keys.user, keys.anonymous)
        person = self.people.cached(keys.user, keys.anonymous)
        if recent is None or person is None:
            return None
        late_s = self._late_s(request, watch)
        visit = self._make_visit(shelf, request, keys, _Known(person, recent), late_s)
        return self._decide(shelf, visit, wanted, watch)

    def _decide(
        self,
        shelf: Shelf,
        visit: Visit,
        wanted: list[tuple[Placement, PlacementRequest]],
        watch: Stopwatch,
    ) -> tuple[Page, list[Exposure]]:
        """Decide once everything is known; `watch` is told when gathering and deciding end."""
        watch.lap()
        decisions = decide_page(
            shelf,
            visit,
            [one for one in wanted if one[0].enabled],
            _no_id if visit.is_preview else self.make_id,
        )
        exposures = [] if visit.is_preview else [one.exposure for one in decisions]
        views = self._views(shelf, wanted)
        if views is not None and exposures:
            views.add(exposures)
        watch.lap()
        page = Page(
            request_id=visit.request_id,
            model_version=shelf.version,
            took_ms=round((watch.laps_s[-1] - watch.started_s) * 1000, 3),
            placements=_slates(wanted, decisions),
        )
        return page, exposures

    def _late_s(self, request: ServeRequest, watch: Stopwatch) -> float:
        """Say when nothing long may begin any more."""
        options = request.options
        budget_ms = options.deadline_ms or self.deadline_ms
        if options.preview is not None:
            budget_ms = PREVIEW_MS
        return watch.started_s + budget_ms * WORKING_SHARE / 1000

    def _views(
        self, shelf: Shelf, wanted: list[tuple[Placement, PlacementRequest]]
    ) -> ViewSource | None:
        """Return who saw which banner, if a banner that may stand here has a cap."""
        if not shelf.banners.caps or all(one.kind != "banners" for one, _ in wanted):
            return None
        return self.views

    def shelf(self) -> Shelf:
        """Return the shelf of the live model under the newest configuration."""
        configuration, snapshot, shelf = self.configuration(), self.snapshot(), self._shelf
        if shelf is not None and _is_of(shelf, snapshot) and shelf.configuration is configuration:
            return shelf
        prepared, self._prepared = self._prepared, None
        if (
            prepared is None
            or prepared.configuration is not configuration
            or not _is_of(prepared, snapshot)
        ):
            prepared = Shelf(self._stock_of(snapshot), configuration)
        self._shelf = prepared
        return prepared

    def prepare(self, snapshot: Snapshot) -> None:
        """Do in another thread what else the first request under a new model would do."""
        ready = self.ready(snapshot, self._profiles.rows_seen_last(snapshot))
        read_ahead(snapshot)
        self._stock = stock = Stock(snapshot, ready)
        self._prepare(stock, self.configuration())
        self._profiles.renew(stock)

    def prepare_configuration(self, configuration: Configuration) -> None:
        """Do in another thread what else the first request under new documents would do."""
        stock = self._stock_of(self.snapshot())
        if stock is not None:
            self._prepare(stock, configuration)

    def _stock_of(self, snapshot: Snapshot | None) -> Stock | None:
        """Return the stock of a snapshot; there is one already, unless nobody prepared it."""
        if snapshot is None:
            return None
        shelved = None if self._shelf is None else self._shelf.stock
        for stock in (shelved, self._stock):
            if stock is not None and stock.snapshot is snapshot:
                return stock
        self._stock = Stock(snapshot)
        return self._stock

    def _prepare(self, stock: Stock, configuration: Configuration) -> None:
        shelf = Shelf(stock, configuration)
        shelf.warm_up(self.clock.now_ms())
        self._prepared = shelf

    def forget(self, key: str) -> None:
        """Drop what is kept of a pseudonym."""
        self._profiles.forget(key)

    def forget_all(self) -> None:
        """Drop what is kept of everybody."""
        self._profiles.forget_all()

    async def _visit(self, shelf: Shelf, request: ServeRequest, late_s: float) -> Visit:
        keys = self._keys(request)
        reading: asyncio.Task[tuple[RecentEvent, ...]] | None = None
        recent: tuple[RecentEvent, ...] | None = ()
        if shelf.stock is not None and (keys.user or keys.anonymous) is not None:
            recent = self.recent.cached(keys.user, keys.anonymous)
            if recent is None:  # read while it is found out who this is
                reading = asyncio.create_task(self.recent.read(keys.user, keys.anonymous))
        left_s = late_s - self.clock.monotonic_s()
        # Two ids that meet are brought together and written down, which a preview must not do.
        is_alone = request.options.preview is not None and keys.user is not None
        device_key = None if is_alone else keys.anonymous
        person = await self.people.person(keys.user, device_key, left_s)
        trouble: Degraded | None = None
        if reading is not None:
            recent, trouble = await self._finish(reading, late_s)
        known = _Known(person, recent or (), trouble)
        return self._make_visit(shelf, request, keys, known, late_s)

    def _keys(self, request: ServeRequest) -> _Keys:
        user = request.user
        if not user.consent:
            return _Keys(None, None, None)
        pseudonym = self.pseudonymiser.pseudonym
        return _Keys(
            None if user.user_id is None else pseudonym("user_id", user.user_id),
            None if user.anonymous_id is None else pseudonym("anonymous_id", user.anonymous_id),
            None if user.session_id is None else pseudonym("session_id", user.session_id),
        )

    def _make_visit(
        self,
        shelf: Shelf,
        request: ServeRequest,
        keys: _Keys,
        known: _Known,
        late_s: float,
    ) -> Visit:
        profile, context_rows, stock = None, [], shelf.stock
        now_ms = self.clock.now_ms()
        if stock is not None:
            context_rows = stock.known_rows(request.context.item_ids)
            if (keys.user or keys.anonymous) is not None:
                profile = self._profiles.get(stock, keys.user, keys.anonymous, known.recent)
        return Visit(
            request_id=self.make_id(),
            context=request.context,
            context_rows=context_rows,
            user_key=keys.user,
            anonymous_key=keys.anonymous,
            session_key=keys.session,
            profile=profile,
            trouble=known.trouble,
            explain=request.options.explain,
            why=request.options.why,
            now_ms=now_ms,
            is_late=lambda: self.clock.monotonic_s() > late_s,
            segments=shelf.segments,
            person=known.person,
            rates=self.rates.at(now_ms),
            period_ms=self.rates.period_ms,
        )

    async def _resting(
        self, views: ViewSource, caps: Mapping[str, Cap], visit: Visit, late_s: float
    ) -> frozenset[str]:
        """Find the banners that are at their cap; who has no id has seen nothing."""
        unit = visit.unit
        # A rollout over anonymous visitors logs these, whoever is signed in.
        keys = (visit.user_key, visit.anonymous_key, None if unit is None else unit.key)
        known = {key for key in keys if key is not None}
        if not known:
            return frozenset()
        left_s = late_s - self.clock.monotonic_s()
        seen = await views.views(known, visit.now_ms, left_s)
        return resting_banners(caps, seen, visit.now_ms)

    async def _finish(
        self, reading: asyncio.Task[tuple[RecentEvent, ...]], late_s: float
    ) -> tuple[tuple[RecentEvent, ...], Degraded | None]:
        """Wait for the newest events; say what is the matter if they cannot be had in time."""
        try:
            async with asyncio.timeout(max(late_s - self.clock.monotonic_s(), 0.0)):
                return await reading, None
        except TimeoutError:
            self.late_reads += 1
            return (), "deadline"
        except Exception as error:  # whatever the store does, a page is answered
            self.failed_reads += 1
            log.warning("newest events not read", error=repr(error))
            return (), "store_unavailable"


def _no_id() -> str:
    """Name nothing: events that claim to come from a preview are refused."""
    return ""


def _slates(
    wanted: list[tuple[Placement, PlacementRequest]], decisions: list[Decision]
) -> tuple[Slate, ...]:
    """Put the slates in the order of the request; a placement that is switched off is empty."""
    if len(decisions) == len(wanted):
        return tuple([one.slate for one in decisions])
    decided = iter(decisions)
    return tuple(
        next(decided).slate if placement.enabled else switched_off(placement)
        for placement, _ in wanted
    )


def _is_of(shelf: Shelf, snapshot: Snapshot | None) -> bool:
    return (None if shelf.stock is None else shelf.stock.snapshot) is snapshot


def find_placements(
    configuration: Configuration, asked: tuple[PlacementRequest, ...]
) -> list[tuple[Placement, PlacementRequest]]:
    """Pair each request with its placement, or raise `NotFoundError` naming the unknown one."""
    found = []
    for number, one in enumerate(asked):
        placement = configuration.placements.get(one.id)
        if placement is None:
            raise NotFoundError(
                f"placement {one.id[:80]!r} at $.placements[{number}].id is not configured; "
                f"{list_known(configuration.placements)}; add it with PUT "
                f"/v1/placements/{one.id[:80]}"
            )
        found.append((placement, one))
    return found


def id_maker(
    seed: int, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
) -> Callable[[], str]:
    """Return a maker of 128-bit ids in hexadecimal; each process needs a seed of its own.

    48 bits of time, then 80 random ones: ids rise, so an index of them grows at its end.
    """
    draw = random.Random(seed).randbytes
    tails: list[str] = []
    at_ms, head = -1, ""

    def make_id() -> str:
        nonlocal at_ms, head
        now = now_ms()
        if now != at_ms:
            at_ms, head = now, f"{now:012x}"
        if not tails:
            drawn = draw(10 * _DRAWN_AT_ONCE).hex()
            tails.extend([drawn[at : at + 20] for at in range(0, len(drawn), 20)])
        return head + tails.pop()

    return make_id
