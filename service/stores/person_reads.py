"""Reads the newest rows of one person out of ``events.sqlite``, by index and never by a scan.

Unlike `personal_rows`, which finds every row for a copy or an erasure, this answers a page.
"""

from __future__ import annotations

from contextlib import closing, suppress
from typing import Literal, NamedTuple

import msgspec

from models.errors import StoreError
from models.events import InteractionKind
from service.stores.event_database import connect, has_derived, reported
from service.stores.event_log import ROLLUP, Database, EventLog
from service.stores.event_schema import EventFlag
from service.stores.rollup import open_rollup
from service.stores.rollup_folds import CLICKED_UNKNOWN

PersonKind = Literal["user_id", "anonymous_id"]

MAX_EVENTS = 5_000
"""The newest interactions that are read of a person; a shop's own tablet may have more."""
MAX_VISITORS = 20


class PersonEvent(NamedTuple):
    """An interaction."""

    seq: int
    kind: int
    at_ms: int
    item_id: str
    exposure_id: str | None
    quantity: float | None
    price: float | None
    order_id: str | None
    country: str | None
    channel: str | None
    platform: str | None
    by_server: int = 0
    """Not 0 if the shop's own server told of it."""


class PersonExposure(NamedTuple):
    """A slate. `shown` is as it is stored, see `service.exposure.Shown`."""

    seq: int
    exposure_id: str
    at_ms: int
    placement_id: str
    kind: str
    recipe: str
    tier: str
    rollout_key: str | None
    variant: str | None
    reason: str | None
    shown: str


class Slates(NamedTuple):
    """How many slates a person was shown, and when the first and the last."""

    n: int
    first_ms: int | None
    last_ms: int | None


NO_SLATES = Slates(0, None, None)


class Unit(NamedTuple):
    """As whom a person is dealt, or was too."""

    kind: PersonKind
    key: str


class PersonRows(NamedTuple):
    """What is stored of a person, the newest first."""

    visitors: list[str]
    """Pseudonyms of the devices that were this user's and nobody else's, the newest first.

    One on which they only looked at pages counts too.
    """
    unit: Unit | None
    """As whom a user is dealt, if that was written down."""
    others: list[Unit]
    events: list[PersonEvent]
    exposures: list[PersonExposure]
    slates: Slates
    reached: dict[int, set[int]]
    """Number of an exposure, then the stages that it is known to have reached."""


_COLUMN: dict[PersonKind, str] = {"user_id": "user_key", "anonymous_id": "anonymous_key"}

# `item_id IS NOT NULL` and the kinds stand there because the partial indexes ask for them.
_EVENTS = f"""
SELECT seq, kind, min(at_ms, received_ms), item_id, exposure_id, quantity, price, order_id,
       country, channel, platform, flags & {int(EventFlag.BY_SERVER)}
FROM events WHERE {{column}} = ? AND item_id IS NOT NULL AND kind <= 4
ORDER BY at_ms DESC, seq DESC LIMIT ?
"""
_VISITORS = """
SELECT anonymous_key, max(at_ms) FROM (
  SELECT anonymous_key, at_ms FROM events
  WHERE user_key = ? AND item_id IS NOT NULL AND anonymous_key IS NOT NULL
  ORDER BY at_ms DESC LIMIT ?
) AS newest GROUP BY anonymous_key ORDER BY max(at_ms) DESC LIMIT ?
"""
_SEEN_ON = """
SELECT anonymous_key, max(at_ms) FROM exposures
WHERE unit_key IN ({marks}) AND unit_key IS NOT NULL AND user_key = ? AND anonymous_key IS NOT NULL
GROUP BY anonymous_key ORDER BY max(at_ms) DESC LIMIT ?
"""
# Of a user who saw pages there, and did nothing, the links know.
_IS_SHARED = """
SELECT EXISTS (SELECT 1 FROM events
               WHERE anonymous_key = :visitor AND item_id IS NOT NULL AND user_key <> :key)
    OR EXISTS (SELECT 1 FROM identities WHERE unit_key = :visitor AND user_key <> :key)
    OR EXISTS (SELECT 1 FROM unit_links
               WHERE unit_key = :visitor AND other_kind = 'user_id' AND other_key <> :key)
"""
_UNIT = "SELECT unit_kind, unit_key FROM identities WHERE user_key = ?"
_OTHERS = (
    "SELECT other_kind, other_key FROM unit_links WHERE unit_key = ? ORDER BY seq DESC LIMIT 8"
)
_EXPOSURES = """
SELECT seq, exposure_id, at_ms, placement_id, kind, recipe, tier, rollout_key, variant, reason,
       shown
FROM exposures WHERE unit_key IN ({marks}) AND unit_key IS NOT NULL
ORDER BY at_ms DESC, seq DESC LIMIT ?
"""
_SLATES = """
SELECT count(*), min(at_ms), max(at_ms) FROM exposures
WHERE unit_key IN ({marks}) AND unit_key IS NOT NULL
"""
_REACHED = "SELECT exposure_seq, stage FROM reached WHERE exposure_seq IN ({marks})"


def read_person(path: EventLog, kind: PersonKind, key: str, n_exposures: int) -> PersonRows:
    """Read a person by pseudonym; empty lists for one who is not known.

    Raises
    ------
    StoreError
        If the store cannot be read.
    """
    with reported(path):
        connection = connect(path, read_only=True)
        try:
            connection.execute("BEGIN")
            run = connection.execute
            found = run(_UNIT, (key,)).fetchone() if kind == "user_id" else None
            unit = None if found is None else _unit(found)
            dealt = {key, *([unit.key] if unit is not None else [])}
            visitors = _visitors(connection, key, dealt) if kind == "user_id" else []
            units = {*dealt, *visitors}
            events = run(_EVENTS.format(column=_COLUMN[kind]), (key, MAX_EVENTS)).fetchall()
            for visitor in visitors:
                rows = run(_EVENTS.format(column="anonymous_key"), (visitor, MAX_EVENTS))
                events += rows.fetchall()
            exposures = run(
                _EXPOSURES.format(marks=_marks(units)), (*units, n_exposures)
            ).fetchall()
            slates = Slates(*run(_SLATES.format(marks=_marks(units)), (*units,)).fetchone())
            others = run(_OTHERS, (key if unit is None else unit.key,)).fetchall()
        finally:
            connection.close()
    newest = sorted(set(events), key=lambda row: (row[2], row[0]), reverse=True)
    return PersonRows(
        visitors=visitors,
        unit=unit,
        others=[_unit(other) for other in others],
        events=[PersonEvent(*row) for row in newest[:MAX_EVENTS]],
        exposures=[PersonExposure(*row) for row in exposures],
        slates=slates,
        reached=_reached(path, [row[0] for row in exposures]),
    )


def _visitors(connection: Database, key: str, units: set[str]) -> list[str]:
    run = connection.execute
    newest: dict[str, int] = {}
    for visitor, at_ms in (
        *run(_VISITORS, (key, MAX_EVENTS, MAX_VISITORS)),
        *run(_SEEN_ON.format(marks=_marks(units)), (*units, key, MAX_VISITORS)),
    ):
        newest[visitor] = max(at_ms, newest.get(visitor, at_ms))
    found = sorted(newest, key=newest.__getitem__, reverse=True)[:MAX_VISITORS]
    return [
        visitor
        for visitor in found
        if not connection.execute(_IS_SHARED, {"visitor": visitor, "key": key}).fetchone()[0]
    ]


def _reached(path: EventLog, numbers: list[int]) -> dict[int, set[int]]:
    """Ask the running sums, as far as they are; they are derived, and may not be there."""
    found: dict[int, set[int]] = {}
    if not numbers or not has_derived(path, ROLLUP):
        return found
    # A page does not wait while somebody makes them anew.
    with suppress(StoreError), closing(open_rollup(path, max_new=0, busy_timeout_ms=50)) as sums:
        for number, stage in sums.execute(_REACHED.format(marks=_marks(numbers)), numbers):
            found.setdefault(number, set()).add(stage)
    # Who clicked without consent is told of to nobody.
    return {
        number: stages - {InteractionKind.CLICK, CLICKED_UNKNOWN}
        if CLICKED_UNKNOWN in stages
        else stages
        for number, stages in found.items()
    }


def _unit(row: tuple[str, str]) -> Unit:
    return Unit(msgspec.convert(row[0], PersonKind), row[1])


def _marks(values: list[int] | set[str]) -> str:
    return ", ".join("?" * len(values))
