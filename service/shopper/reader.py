"""Gathers the shopper view: stored rows, what the model says, and a page that is not logged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from models.snapshot import Snapshot
from models.vocabulary import MISSING_ROW
from service.control.configuration import Configuration
from service.exposure import Shown
from service.rollouts import visitor as rollouts
from service.rollouts.evaluate import evaluate
from service.serve.cards import titles_of
from service.serve.decide import decide_page
from service.serve.engine import Engine
from service.serve.model_segments import user_row
from service.serve.page import Slate
from service.serve.profile import Profile
from service.serve.request import Context, PlacementRequest
from service.serve.shelf import Shelf
from service.serve.visit import Visit
from service.shopper.affinity import CategoryFactors
from service.shopper.story import tell
from service.shopper.view import (
    SHOWN_EVENTS,
    SHOWN_EXPOSURES,
    SHOWN_ORDERS,
    Arm,
    Knowledge,
    SegmentOf,
    ShopperView,
    add_up,
    collect_orders,
    happenings,
    join_outcomes,
    unit_key,
)
from service.stores.event_log import EventLog
from service.stores.person_reads import PersonKind, PersonRows, read_person

MAX_PLACEMENTS = 8
MAX_ITEMS = 6

_decode_shown = msgspec.json.Decoder(list[Shown]).decode


class ShopperReader:
    """One for a process; nothing of a person is kept between two calls."""

    def __init__(self, events: EventLog, engine: Engine, now_ms: Callable[[], int]) -> None:
        self._events = events
        self._engine = engine
        self._now_ms = now_ms
        self._factors: CategoryFactors | None = None

    async def read(self, kind: PersonKind, key: str) -> ShopperView:
        """Return what is known of a person by pseudonym; little of one who is not known.

        Raises
        ------
        StoreError
            If the event store cannot be read.
        """
        rows = await asyncio.to_thread(read_person, self._events, kind, key, SHOWN_EXPOSURES)
        shelf = self._engine.shelf()
        snapshot = None if shelf.stock is None else shelf.stock.snapshot
        visit = await self._visit(shelf, kind, key, rows)
        if snapshot is not None:
            await asyncio.to_thread(self._prepare, snapshot)
        return self._view(shelf, visit, kind, key, rows)

    def _view(
        self, shelf: Shelf, visit: Visit, kind: PersonKind, key: str, rows: PersonRows
    ) -> ShopperView:
        snapshot = None if shelf.stock is None else shelf.stock.snapshot
        shown = {row.exposure_id: _decode_shown(row.shown) for row in rows.exposures}
        titles = titles_of(
            snapshot,
            [
                *(event.item_id for event in rows.events),
                *(one.id for slate in shown.values() for one in slate),
            ],
        )
        orders = collect_orders(rows.events, titles)
        totals = add_up(rows.events, orders, rows.slates)
        segments = _segments(shelf, visit, snapshot)
        profile = visit.profile
        categories = (
            [] if profile is None or self._factors is None else self._factors.nearest(profile)
        )
        arms = _arms(shelf.configuration, visit)
        model = Knowledge(
            version=shelf.version,
            is_known=profile is not None and profile.user_row != MISSING_ROW,
            history_items=0 if profile is None else len(profile.weights),
            purchased_items=0 if profile is None else len(profile.purchased),
        )
        return ShopperView(
            kind=kind,
            pseudonym=key,
            devices=rows.visitors,
            unit=unit_key(key, rows.unit),
            is_known=bool(rows.events or rows.exposures or rows.unit or model.is_known),
            story=tell(totals, segments, categories, arms, model, now_ms=visit.now_ms),
            totals=totals,
            events=happenings(rows.events[:SHOWN_EVENTS], titles),
            orders=orders[:SHOWN_ORDERS],
            segments=segments,
            categories=categories,
            rollouts=arms,
            exposures=join_outcomes(rows.exposures, shown, rows.reached, rows.events, titles),
            model=model,
            now=self._page(shelf, visit),
        )

    async def _visit(self, shelf: Shelf, kind: PersonKind, key: str, rows: PersonRows) -> Visit:
        """Make the visit that the person would make now, where they were last.

        It is made here and not by the engine, which would write down who is who.
        """
        user_key = key if kind == "user_id" else None
        anonymous_key = key if kind == "anonymous_id" else next(iter(rows.visitors), None)
        person = rollouts.person_of(user_key, anonymous_key)
        if rows.unit is not None:
            person = rollouts.Person(rollouts.Unit(*rows.unit))
        person = rollouts.Person(person.unit, tuple(rollouts.Unit(*one) for one in rows.others))
        profile = None
        if shelf.stock is not None:
            recent = await self._engine.recent.read(user_key, anonymous_key)
            row = user_row(shelf.stock.snapshot.users, user_key, anonymous_key)
            profile = Profile(shelf.stock, row, recent)
        last = rows.events[0] if rows.events else None
        return Visit(
            request_id="",
            context=Context()
            if last is None
            else Context(country=last.country, channel=last.channel, platform=last.platform),
            context_rows=[],
            user_key=user_key,
            anonymous_key=anonymous_key,
            session_key=None,
            profile=profile,
            trouble=None,
            explain=True,
            now_ms=self._now_ms(),
            is_late=lambda: False,
            segments=shelf.segments,
            person=person,
        )

    def _page(self, shelf: Shelf, visit: Visit) -> list[Slate]:
        """Decide every placement by itself, as if it stood alone on its page; nothing is stored."""
        placements = [one for one in shelf.configuration.placements.values() if one.enabled]
        slates: list[Slate] = []
        for placement in placements[:MAX_PLACEMENTS]:
            asked = PlacementRequest(id=placement.id, count=min(placement.size, MAX_ITEMS))
            decided = decide_page(shelf, visit, [(placement, asked)], lambda: "")
            slates += [decision.slate for decision in decided]
        return slates

    def _prepare(self, snapshot: Snapshot) -> None:
        if self._factors is None or self._factors.snapshot is not snapshot:
            factors = CategoryFactors(snapshot)
            _ = factors.directions
            self._factors = factors


def _segments(shelf: Shelf, visit: Visit, snapshot: Snapshot | None) -> list[SegmentOf]:
    found = []
    profile = visit.profile
    if profile is not None and snapshot is not None:
        sizes = snapshot.manifest.segments
        found = [
            SegmentOf(
                key=segment,
                source="model",
                priority=rank,
                users=sizes[segment].users if segment in sizes else None,
            )
            for rank, segment in enumerate(profile.segments, 1)
        ]
    listed = sorted(key for key in shelf.configuration.segments if visit.visitor.is_in(key))
    return found + [SegmentOf(key=key, source="list", priority=None, users=None) for key in listed]


def _arms(configuration: Configuration, visit: Visit) -> list[Arm]:
    arms = []
    for key in sorted(configuration.rollouts):
        rollout = configuration.rollouts[key]
        assignment = evaluate(rollout, visit.visitor)
        arms.append(
            Arm(
                key=key,
                variant=assignment.variant,
                reason=assignment.reason,
                detail=assignment.detail,
                epoch=assignment.epoch,
                share=rollout.definition.share,
            )
        )
    return arms
