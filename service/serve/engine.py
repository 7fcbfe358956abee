"""The page engine: gathers what a decision needs, within the deadline, and lets `decide` decide.

The only part of serving that waits, reads a clock or makes ids; all of these are given to it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from models.pseudonym import Pseudonymiser
from models.snapshot import Snapshot
from service.control.configuration import Configuration
from service.cpu.breath import no_breath
from service.exposure import Exposure
from service.serve.caps import ViewSource
from service.serve.decide import decide_page
from service.serve.fresh_ids import id_maker
from service.serve.gathering import Gathering, Keys, Known, keys_of
from service.serve.handover import Handover
from service.serve.page import Page
from service.serve.preview import as_previewed, preview_shelf
from service.serve.profiles import Profiles
from service.serve.rates import RateBook
from service.serve.recent import PersonSource, RecentSource, Strangers
from service.serve.request import ServeRequest
from service.serve.shared_candidates import SharedCandidates
from service.serve.shelf import Shelf
from service.serve.shelves import Ready, Shelves
from service.serve.visit import Visit
from service.serve.wanted import Wanted, find_placements, put_in_order
from service.telemetry.stages import Stopwatch

DEADLINE_MS = 50
PREVIEW_MS = 5_000
"""The deadline of a preview."""
WORKING_SHARE = 0.8
"""Share of the deadline after which nothing long begins; the rest is for encoding and sending."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Where the time comes from."""

    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    """Epoch ms."""
    monotonic_s: Callable[[], float] = time.perf_counter


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
    make_id: Callable[[], str] = field(default_factory=id_maker)
    ready: Ready = lambda _snapshot, _rows: None
    """Where candidates worked out ahead are had, and which shoppers are wanted first."""
    shared: SharedCandidates | None = None
    """What the workers of this machine have worked out, if there are several."""
    _profiles: Profiles = field(default_factory=Profiles)

    def __post_init__(self) -> None:
        monotonic_s = self.clock.monotonic_s
        self._shelves = Shelves(self.configuration, self.snapshot, monotonic_s, self.shared)
        self.gathering = Gathering(self.recent, self.people, monotonic_s)

    async def serve(
        self,
        request: ServeRequest,
        watch: Stopwatch | None = None,
        *,
        as_text: bool = False,
    ) -> tuple[Page, list[Exposure]]:
        """Decide a page. The caller stores the exposures once the answer is encoded.

        Of a preview there are none. With `as_text`, slates of items and what their exposures show
        are `msgspec.Raw`, to be encoded and nothing else, unless something is explained.

        `watch` is told when the stages of gathering and of deciding end.

        Raises
        ------
        NotFoundError
            If no placement of the request is configured.
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
        keys = keys_of(request.user, self.pseudonymiser)
        known = await self.gathering.find_out(
            keys, late_s, has_model=shelf.stock is not None, is_preview=preview is not None
        )
        if preview is None:
            shelf, handover = self._shelf_of(shelf, request, keys, known)
            visit = self._make_visit(shelf, request, keys, known, late_s)
            visit.handover = handover
        else:
            visit = self._make_visit(shelf, request, keys, known, late_s)
            visit = as_previewed(visit, preview)
        visit.as_text = as_text and not request.options.is_for_merchandisers
        views = self._views(shelf, wanted)
        if views is not None:
            visit.resting = await self.gathering.resting(views, shelf.banners.caps, visit, late_s)
        return self._decide(shelf, visit, wanted, watch)

    def serve_at_once(
        self, request: ServeRequest, watch: Stopwatch
    ) -> tuple[Page, list[Exposure]] | None:
        """Decide a page as `serve` does as text, or return nothing if that would have to wait.

        Raises
        ------
        NotFoundError
            If no placement of the request is configured.
        """
        shelf = self.shelf()
        wanted = find_placements(shelf.configuration, request.placements)
        if request.options.preview is not None or self._views(shelf, wanted) is not None:
            return None
        keys = keys_of(request.user, self.pseudonymiser)
        known = self.gathering.at_once(keys, has_model=shelf.stock is not None)
        if known is None:
            return None
        late_s = self._late_s(request, watch)
        shelf, handover = self._shelf_of(shelf, request, keys, known)
        visit = self._make_visit(shelf, request, keys, known, late_s)
        visit.handover = handover
        visit.as_text = not request.options.is_for_merchandisers
        return self._decide(shelf, visit, wanted, watch)

    def _decide(
        self,
        shelf: Shelf,
        visit: Visit,
        wanted: Wanted,
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
        if visit.handover is not None:
            visit.handover.charge(watch.laps_s[-1] - watch.laps_s[-2])
        slates = [one.slate for one in decisions]
        page = Page(
            request_id=visit.request_id,
            model_version=shelf.version,
            took_ms=round((watch.laps_s[-1] - watch.started_s) * 1000, 3),
            placements=tuple(slates)
            if len(slates) == len(wanted)
            else put_in_order(wanted, slates),
        )
        return page, exposures

    def _late_s(self, request: ServeRequest, watch: Stopwatch) -> float:
        """Say when nothing long may begin any more."""
        options = request.options
        budget_ms = options.deadline_ms or self.deadline_ms
        if options.preview is not None:
            budget_ms = PREVIEW_MS
        return watch.started_s + budget_ms * WORKING_SHARE / 1000

    def _views(self, shelf: Shelf, wanted: Wanted) -> ViewSource | None:
        """Return who saw which banner, if a banner that may stand here has a cap."""
        if not shelf.banners.caps or all(one.kind != "banners" for one, _ in wanted):
            return None
        return self.views

    def shelf(self) -> Shelf:
        """Return the shelf of the live model under the newest configuration."""
        return self._shelves.newest()

    def prepare(self, snapshot: Snapshot, breathe: Callable[[], None] = no_breath) -> None:
        """Do in another thread what else the first request under a new model would do.

        `breathe` is called between two pieces of it.
        """
        ready = self.ready(snapshot, self._profiles.seen_last())
        self._shelves.prepare(snapshot, ready, self.clock.now_ms(), breathe)

    def prepare_configuration(self, configuration: Configuration) -> None:
        """Do in another thread what else the first request under new documents would do."""
        self._shelves.prepare_configuration(configuration, self.clock.now_ms())

    def expect(self, user_key: str | None, anonymous_key: str | None) -> None:
        """Let candidates of a shopper who has just acted be worked out before they come back.

        Only of one whom this process knows; a page of anybody else works them out itself.
        """
        stock = self.shelf().stock
        if stock is None or stock.shared is None:
            return
        keys = self._profiles.last_as(user_key, anonymous_key)
        recent = None if keys is None else self.recent.cached(*keys)
        if keys is None or recent is None:
            return
        handover = self._shelves.handing_over()
        before = None if handover is None else handover.before.stock
        if before is not None and self._profiles.has(before, *keys, recent):
            return  # nothing new, so their pages may go on with the model before
        stock.shared.expect(self._profiles.get(stock, *keys, recent).history)

    def forget(self, key: str) -> None:
        """Drop what is kept of a pseudonym, and candidates whoever they are of."""
        self._profiles.forget(key)
        self._shelves.forget()

    def forget_all(self) -> None:
        """Drop what is kept of everybody."""
        self._profiles.forget_all()
        self._shelves.forget()

    def _shelf_of(
        self, newest: Shelf, request: ServeRequest, keys: Keys, known: Known
    ) -> tuple[Shelf, Handover | None]:
        """Return the shelf of a shopper, and the handover that is to be charged for their page."""
        handover = self._shelves.handing_over()
        if handover is None or request.options.is_for_merchandisers:
            return newest, None
        before = handover.before
        if before.stock is None or not self._profiles.has(
            before.stock, keys.user, keys.anonymous, known.recent
        ):
            return newest, None
        if handover.has_room(self.clock.monotonic_s()):
            return newest, handover
        return before, None

    def _make_visit(
        self,
        shelf: Shelf,
        request: ServeRequest,
        keys: Keys,
        known: Known,
        late_s: float,
    ) -> Visit:
        profile, context_rows, stock = None, [], shelf.stock
        now_ms = self.clock.now_ms()
        if stock is not None:
            context_rows = stock.known_rows(request.context.item_ids)
            if not keys.is_nobody:
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


def _no_id() -> str:
    """Name nothing: events that claim to come from a preview are refused."""
    return ""
