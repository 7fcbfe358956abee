"""Lists for a whole file of users at one moment, for e-mail and push: what the service would show.

Every list comes from the engine that answers requests, over the same configuration, model and
events; only the clock stands still and nothing is late.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pyarrow as pa
from threadpoolctl import threadpool_limits

from models.artifact import ArtifactStore
from models.errors import InputError, StoreError
from service.batch.files import SCHEMA, staged_file, writer_of
from service.batch.users import Shopper, read_shoppers
from service.control.current import CurrentConfiguration
from service.exposure import Exposure
from service.home_key import load_home_key
from service.intake.people import People
from service.intake.recents import RecentEvents
from service.serve.engine import Clock, Engine
from service.serve.fresh_ids import id_maker
from service.serve.page import ItemSlate
from service.serve.request import PlacementRequest, ServeRequest
from service.stores.control import ControlStore
from service.stores.event_database import open_event_database, stop_listening
from service.stores.event_reads import EventReader
from service.stores.events import Batch
from service.stores.identities import IdentityStore
from service.stores.key_filter import KeyFilter
from service.stores.key_filter_filling import fill
from service.stores.opening import open_event_store
from service.stores.postgres_address import PostgresAddress
from service.stores.segment_files import SegmentFiles

USERS_A_GROUP = 1_000
NEVER_MS = 10**9
"""A deadline that no user of a batch meets."""
BUSY_MS = 30_000
"""How long a group of exposures waits for a server that writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOrder:
    """What a batch is asked for."""

    home: Path
    control: Path | PostgresAddress
    """The store of the control plane."""
    users: Path
    placement: str
    output: Path
    at_ms: int
    is_past: bool
    """Whether events that came in after `at_ms` are left out."""
    count: int | None
    defaults: dict[str, str]
    """Context of rows that do not say their own."""
    logs_exposures: bool
    events_address: str | None = None
    """Where events are, if not in the home."""


class BatchReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch did; the object that ``--json`` prints."""

    output: str
    at_ms: int
    model_version: str | None
    users: int
    rows: int
    rejected: dict[str, int]
    """Rows of the file of users without a list, by reason."""
    tiers: dict[str, int]
    variants: dict[str, int]
    """Users by variant, where the placement has a rollout."""
    exposures_logged: int


def recommend(order: BatchOrder, make_id: Callable[[], str] | None = None) -> BatchReport:
    """Write a file with the list of every user; it appears whole or not at all.

    Raises
    ------
    ConfigError
        If the file's name says that it is neither Parquet nor CSV.
    NotFoundError
        If the placement is not configured.
    StoreError
        If events cannot be read or exposures not be written.
    """
    open_writer = writer_of(order.output)
    shoppers = read_shoppers(order.users, order.defaults)
    tiers: Counter[str] = Counter()
    variants: Counter[str] = Counter()
    n_rows = n_logged = 0
    maker = make_id or id_maker()
    with (
        # One user's score is too little to share between cores.
        threadpool_limits(limits=1, user_api="blas"),
        staged_file(order.output) as draft,
        _open_engine(order, maker) as engine,
        _open_log(order) as log,
        open_writer(draft) as writer,
        asyncio.Runner() as runner,
    ):
        version = engine.shelf().version
        for begin in range(0, len(shoppers.found), USERS_A_GROUP):
            group = shoppers.found[begin : begin + USERS_A_GROUP]
            served = runner.run(_serve_group(engine, order, group))
            exposures = [exposure for _, exposure in served]
            rows = [row for mine, _ in served for row in mine]
            tiers.update(exposure.tier for exposure in exposures)
            variants.update(one.variant for one in exposures if one.variant is not None)
            if engine.gathering.failed_reads:
                raise StoreError(
                    f"the events of {order.home} cannot be read, so the lists would lack what "
                    "users did last; nothing was written: repair the store and run it again"
                )
            writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
            n_rows += len(rows)
            n_logged += log(exposures)
    return BatchReport(
        output=str(order.output),
        at_ms=order.at_ms,
        model_version=version,
        users=len(shoppers.found),
        rows=n_rows,
        rejected=shoppers.rejected,
        tiers=dict(tiers),
        variants=dict(variants),
        exposures_logged=n_logged,
    )


async def _serve_group(
    engine: Engine, order: BatchOrder, group: list[Shopper]
) -> list[tuple[list[dict[str, object]], Exposure]]:
    return [await _serve(engine, order, shopper) for shopper in group]


async def _serve(
    engine: Engine, order: BatchOrder, shopper: Shopper
) -> tuple[list[dict[str, object]], Exposure]:
    request = ServeRequest(
        placements=(PlacementRequest(id=order.placement, count=order.count),),
        user=shopper.user,
        context=shopper.context,
    )
    page, exposures = await engine.serve(request)
    if not exposures:
        raise InputError(
            f"placement {order.placement!r} is switched off; switch it on with PATCH "
            f'/v1/placements/{order.placement} {{"enabled": true}}'
        )
    [exposure], [slate] = exposures, page.placements
    shared = {
        "user_id": shopper.user.user_id,
        "tier": slate.tier,
        "degraded": slate.degraded,
        "rollout": exposure.rollout_key,
        "variant": exposure.variant,
        "epoch": exposure.epoch,
        "exposure_id": exposure.exposure_id if order.logs_exposures else None,
    }
    cards: list[str | None] = [None] * len(exposure.shown)
    if isinstance(slate, ItemSlate):
        cards = [bytes(item.attributes).decode() for item in slate.items]
    name = "item_id" if exposure.kind == "items" else "banner_id"
    rows: list[dict[str, object]] = [
        {
            **shared,
            name: one.id,
            "position": one.position,
            "score": one.score,
            "source": one.source,
            "because": one.because,
            "propensity": one.propensity,
            "attributes": card,
        }
        for one, card in zip(exposure.shown, cards, strict=True)
    ]
    return rows, exposure


@contextmanager
def _open_engine(order: BatchOrder, make_id: Callable[[], str]) -> Iterator[Engine]:
    """Put an engine together as `service.opening` does, over what is in effect now."""
    with ExitStack() as stack:
        store = ControlStore(order.control)
        stack.callback(store.close)
        reader = store.open_reader()
        stack.callback(reader.close)
        segment_files = SegmentFiles(order.home, store.shared_files)
        configuration = CurrentConfiguration(reader, segment_files=segment_files).get()
        artifacts = ArtifactStore(order.home)
        version = artifacts.live_version()
        snapshot = None if version is None else artifacts.open(version)
        events = open_event_database(order.home, order.events_address)
        until_ms = order.at_ms if order.is_past else None
        key_filter = None
        if isinstance(events, Path):
            key_filter = KeyFilter(events)
            stack.callback(key_filter.close)
            if not key_filter.is_filled:
                fill(events)
        else:
            stack.callback(stop_listening, events)
        recents = RecentEvents(
            EventReader(events, until_ms=until_ms), EventReader(events), key_filter=key_filter
        )
        stack.callback(recents.close)
        people = People(
            IdentityStore(events),
            IdentityStore(events),
            now_ms=lambda: order.at_ms,
            key_filter=key_filter,
        )
        stack.callback(people.close)
        yield Engine(
            configuration=lambda: configuration,
            snapshot=lambda: snapshot,
            recent=recents,
            people=people,
            pseudonymiser=load_home_key(order.home, events),
            deadline_ms=NEVER_MS,
            clock=Clock(now_ms=lambda: order.at_ms),
            make_id=make_id,
        )


@contextmanager
def _open_log(order: BatchOrder) -> Iterator[Callable[[list[Exposure]], int]]:
    """Give what stores a group of exposures and says how many; nothing if none are logged."""
    if not order.logs_exposures:
        yield lambda _: 0
        return
    log = open_event_database(order.home, order.events_address)
    store = open_event_store(log, opened_ms=order.at_ms, busy_timeout_ms=BUSY_MS)

    def commit(exposures: list[Exposure]) -> int:
        n = len(exposures)
        return store.commit(
            Batch(exposures=exposures, counts={"served": n, "assigned": n})
        ).n_exposures

    try:
        yield commit
    finally:
        store.close(order.at_ms)
