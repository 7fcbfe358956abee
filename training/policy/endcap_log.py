"""Endcap's own log: slates of banners where chance had a say, and what else could stand there."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import polars as pl

from models.errors import InputError, StoreError
from training.policy.decisions import Decisions, Policy, number, tabulate

CLICK, BOT_OR_PREVIEW = 1, 12
WINDOW_MS = 7 * 86_400_000
PIN = "pin"


class _Shown(msgspec.Struct):
    id: str
    propensity: float
    source: str


_EXPOSURES = """
SELECT exposure_id, coalesce(unit_key, exposure_id), shown, candidates FROM all_exposures
WHERE kind = 'banners' AND reason IS NOT 'ROBOT'
  AND (:placement IS NULL OR placement_id = :placement)
  AND (:rollout IS NULL OR (rollout_key = :rollout AND reason = 'SPLIT')) ORDER BY seq
"""
_CLICKS = f"""
SELECT DISTINCT shown.exposure_id, event.banner_id
FROM all_events AS event JOIN all_exposures AS shown ON shown.exposure_id = event.exposure_id
WHERE +event.kind = {CLICK} AND event.flags & {BOT_OR_PREVIEW} = 0 AND event.banner_id IS NOT NULL
  AND shown.kind = 'banners' AND event.received_ms <= shown.at_ms + {WINDOW_MS}
"""
_COLUMNS = {
    "exposures": "seq, exposure_id, unit_key, at_ms, placement_id, kind, rollout_key, reason, "
    "shown, candidates",
    "events": "seq, kind, received_ms, flags, banner_id, exposure_id",
}
"""What is read, of the store and of the days that moved to the archive."""
_decode_shown = msgspec.json.Decoder(list[_Shown]).decode
_decode_candidates = msgspec.json.Decoder(list[tuple[str, float, str]]).decode


class _Slate(NamedTuple):
    unit: str
    shown: list[tuple[str, float, float]]
    """Id, propensity, reward at each position that no rule pins."""
    by_affinity: tuple[str, ...]
    by_score: tuple[str, ...]


class EndcapLog:
    """The decisions of the log, and the policies that can be told from its candidates."""

    def __init__(self, slates: Sequence[_Slate], n_left_out: int) -> None:
        self.n_left_out = n_left_out
        """Slates where chance had no say."""
        flat = [
            (slate, position, *one) for slate in slates for position, one in enumerate(slate.shown)
        ]
        known = {one for slate in slates for one in slate.by_affinity}
        self._numbers = {one: row for row, one in enumerate(sorted(known))}
        self._slates = [slate for slate, *_ in flat]
        unit, _ = number(slate.unit for slate in self._slates)
        self.decisions = Decisions(
            actions=list(self._numbers),
            action=np.array([self._numbers[one] for _, _, one, _, _ in flat], dtype=np.intp),
            position=np.array([position for _, position, *_ in flat], dtype=np.intp),
            propensity=np.array([share for *_, share, _ in flat]),
            reward=np.array([reward for *_, reward in flat]),
            unit=unit,
        )

    def uniform(self) -> Policy:
        """Every banner that could stand there alike."""
        return self._policy(
            "uniform", lambda slate, _: tuple(sorted(slate.by_affinity)), is_ranked=False
        )

    def affinity(self) -> Policy:
        """The order of affinity."""
        return self._policy("affinity", lambda slate, position: slate.by_affinity[position:][:1])

    def click_rate(self) -> Policy:
        """The order of expected click rates, without chance."""
        return self._policy("click_rate", lambda slate, position: slate.by_score[position:][:1])

    def _policy(
        self,
        name: str,
        choose: Callable[[_Slate, int], tuple[str, ...]],
        *,
        is_ranked: bool = True,
    ) -> Policy:
        positions = self.decisions.position.tolist() if is_ranked else [0] * len(self._slates)
        row, chosen = number(map(choose, self._slates, positions))
        rows = [dict.fromkeys((self._numbers[one] for one in ids), 1 / len(ids)) for ids in chosen]
        return tabulate(name, rows, row, len(self.decisions.actions))


def read_endcap_log(home: Path, *, placement: str | None, rollout: str | None) -> EndcapLog:
    """Read the event store of a home, and its archive.

    Raises
    ------
    StoreError
        If it cannot be read.
    InputError
        If there is no slate in which chance had a say.
    """
    if os.environ.get("ENDCAP_EVENTS_URL") or os.environ.get("ENDCAP_DATABASE_URL"):
        raise StoreError(
            "ENDCAP_EVENTS_URL or ENDCAP_DATABASE_URL is set, and policies are read from a log in "
            "SQLite alone; leave it out to read the one of the home"
        )
    path = home / "events.sqlite"
    if not path.is_file():
        raise StoreError(f"there is no event store {path}; name the home of a server with --home")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            _join_archive(connection, home)
            clicked = set(connection.execute(_CLICKS))
            rows = connection.execute(_EXPOSURES, {"placement": placement, "rollout": rollout})
            found = list(_slates(rows, clicked))
    except sqlite3.Error as error:
        raise StoreError(
            f"the store {path} cannot be read: {error}; check its owner, or start the server once, "
            "which brings an older one up to date"
        ) from error
    slates = [slate for slate in found if slate is not None]
    if not slates:
        where = "" if placement is None else f" in placement {placement!r}"
        raise InputError(
            f"of {len(found)} slates of banners{where} none was left to chance with learned rates; "
            "set explore_share of the placement, and wait until it has ten clicks"
        )
    return EndcapLog(slates, len(found) - len(slates))


def _join_archive(connection: sqlite3.Connection, home: Path) -> None:
    """Make views of store and archive; a row that is just being moved counts once."""
    connection.isolation_level = None
    for table, columns in _COLUMNS.items():
        view = f"CREATE TEMP VIEW all_{table} AS SELECT {columns} FROM main.{table}"
        # No row is archived before this transaction sees the store.
        if not connection.in_transaction:
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM counters").fetchone()
        files = sorted((home / "archive" / table).glob("day=*/rows.parquet"))
        if files:
            names = columns.split(", ")
            connection.execute(
                f"CREATE TEMP TABLE old_{table} AS SELECT {columns} FROM main.{table} LIMIT 0"
            )
            insert = f"INSERT INTO old_{table} VALUES ({', '.join('?' * len(names))})"
            kept = pl.col("kind") == ("banners" if table == "exposures" else CLICK)
            for file in files:
                # The name of the folder is no column.
                frame = pl.scan_parquet(file, hive_partitioning=False).filter(kept).select(names)
                connection.executemany(insert, frame.collect().iter_rows())
            view += (
                f" UNION ALL SELECT {columns} FROM temp.old_{table} "
                f"WHERE seq NOT IN (SELECT seq FROM main.{table})"
            )
        connection.execute(view)


def _slates(rows: sqlite3.Cursor, clicked: set[tuple[str, str]]) -> Iterator[_Slate | None]:
    for exposure_id, unit, shown, logged in rows:
        if logged is None:
            yield None
            continue
        candidates = _decode_candidates(logged)
        yield _Slate(
            unit,
            [
                (one.id, one.propensity, float((exposure_id, one.id) in clicked))
                for one in _decode_shown(shown)
                if one.source != PIN
            ],
            tuple(banner_id for banner_id, _, _ in candidates),
            # Sorting keeps the order of affinity among equals, as serving does.
            tuple(one[0] for one in sorted(candidates, key=lambda one: -one[1])),
        )
