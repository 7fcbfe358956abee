"""Adds the ledger of ``events.sqlite`` up, and compares it with what the tables hold."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from service.stores.archive_files import CLOCKS, archive_lock, has_archive
from service.stores.event_database import connect
from service.stores.event_log import Database, EventLog, PostgresLog
from service.stores.lost_counts import read_lost


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """The counters of every process that ever wrote, and the rows that are there."""

    received: int
    accepted: int
    duplicate: int
    rejected: int
    event_rows: int
    archived_events: int
    """Rows that were moved to files of the archive, and are there."""
    erased_events: int
    """Rows that were deleted because a person asked, or because they were old."""
    served: int
    assigned: int
    dropped: int
    stored: int
    exposure_rows: int
    archived_exposures: int
    erased_exposures: int
    unclosed_writers: int
    """Processes that run, or were killed before they could drain what nobody had been told of."""
    is_balanced: bool
    differences: list[str]
    """Each equation that does not hold, in words."""


def reconcile(path: EventLog) -> Reconciliation:
    """Read counters, rows and files of the archive, and check that they add up.

    What this machine's stops lost while a database was away is brought there first.
    """
    if isinstance(path, PostgresLog):
        from service.stores.postgres_lost import settle_lost  # noqa: PLC0415  # its driver

        settle_lost(path)
    with archive_lock(path):
        found = _read(path)
        missing = _compare_files(path, found) if has_archive(path) or _archived(found) else []
    if not missing:
        return found
    differences = [*found.differences, *missing]
    return msgspec.structs.replace(found, differences=differences, is_balanced=False)


def _archived(found: Reconciliation) -> int:
    return found.archived_events + found.archived_exposures


def _compare_files(path: EventLog, found: Reconciliation) -> list[str]:
    """Say in words which rows of the archive's files the ledger does not know, or knows alone."""
    from service.stores.archive import count_rows  # noqa: PLC0415  # loads PyArrow
    from service.stores.archiving import count_in_both  # noqa: PLC0415  # as above

    counted = {"events": found.archived_events, "exposures": found.archived_exposures}
    differences = []
    for table in CLOCKS:
        n_rows = count_rows(path, table)
        # Who was cut off while a day moved leaves rows in both places, which the next one ends.
        if n_rows != counted[table] and n_rows - count_in_both(path, table) != counted[table]:
            differences.append(
                f"archived {table} {counted[table]} is not rows of archive files {n_rows}"
            )
    return differences


def _read(path: EventLog) -> Reconciliation:
    connection = connect(path, read_only=True)
    try:
        connection.execute("BEGIN")
        counts = _counters(connection, path)
        n_events, n_exposures, n_unclosed = (
            int(connection.execute(query).fetchone()[0])
            for query in (
                "SELECT count(*) FROM events",
                "SELECT count(*) FROM exposures",
                "SELECT count(*) FROM writers WHERE closed_ms IS NULL",
            )
        )
        connection.execute("ROLLBACK")
    finally:
        connection.close()
    return balance(
        counts, event_rows=n_events, exposure_rows=n_exposures, unclosed_writers=n_unclosed
    )


def read_counters(path: EventLog) -> dict[str, int]:
    """Add up the counters of every process that ever wrote; the rows are not looked at."""
    connection = connect(path, read_only=True)
    try:
        return _counters(connection, path)
    finally:
        connection.close()


def _counters(connection: Database, path: EventLog) -> dict[str, int]:
    """Add up what writers counted in the store, and what they could not bring there."""
    counts = dict(connection.execute("SELECT name, sum(value) FROM counters GROUP BY name"))
    for name, n in read_lost(path).items():
        counts[name] = counts.get(name, 0) + n
    return counts


def balance(
    counts: Mapping[str, int], *, event_rows: int, exposure_rows: int, unclosed_writers: int
) -> Reconciliation:
    """Check counters against each other and against rows."""
    names = (
        "received",
        "accepted",
        "duplicate",
        "rejected",
        "served",
        "assigned",
        "dropped",
        "stored",
        "archived_events",
        "archived_exposures",
        "erased_events",
        "erased_exposures",
    )
    n = {name: counts.get(name, 0) for name in names}
    verdicts = n["accepted"] + n["duplicate"] + n["rejected"]
    equations = (
        ("received", n["received"], "accepted + duplicate + rejected", verdicts),
        (
            "accepted",
            n["accepted"],
            "rows of events + archived + erased",
            event_rows + n["archived_events"] + n["erased_events"],
        ),
        ("served", n["served"], "assigned", n["assigned"]),
        ("assigned", n["assigned"], "stored", n["stored"]),
        (
            "stored",
            n["stored"],
            "rows of exposures + archived + erased",
            exposure_rows + n["archived_exposures"] + n["erased_exposures"],
        ),
    )
    differences = [f"{left} {a} is not {right} {b}" for left, a, right, b in equations if a != b]
    return Reconciliation(
        **n,
        event_rows=event_rows,
        exposure_rows=exposure_rows,
        unclosed_writers=unclosed_writers,
        is_balanced=not differences,
        differences=differences,
    )
