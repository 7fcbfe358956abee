"""Brings what stops lost into the ledger of the database, where every machine sees it.

A stop while the database was away leaves counts in a file of its machine. One of them may be in
doubt: of a transaction whose end nobody heard, which the database knows.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

from service.stores.derived import transaction
from service.stores.event_database import connect, reported
from service.stores.event_log import Database, PostgresLog
from service.stores.lost_counts import Lost, take_lost


def settle_lost(log: PostgresLog) -> None:
    """Count the lines of this machine's file, each once, and empty it.

    Raises
    ------
    StoreError
        If the database cannot be read or written; then the file stays.
    OSError
        If the file cannot be.
    """
    with take_lost(log) as lines:
        if lines:
            with reported(log), closing(connect(log)) as connection, transaction(connection):
                for line in lines:
                    _settle(connection, line)


def _settle(connection: Database, line: Lost) -> None:
    token = f"lost {line.id}"
    if connection.execute("SELECT 1 FROM writers WHERE token = ?", (token,)).fetchone():
        return  # by a process that was cut off before it could empty the file
    if line.if_committed is not None and not _is_committed(connection, line.if_committed):
        return
    made: Any = connection.execute(
        "INSERT INTO writers (pid, opened_ms, closed_ms, token) VALUES (0, ?, ?, ?) "
        "RETURNING writer_id",
        (line.at_ms, line.at_ms, token),
    ).fetchone()
    connection.executemany(
        "INSERT INTO counters (writer_id, name, value) VALUES (?, ?, ?)",
        [(made[0], name, n) for name, n in line.counts.items() if n],
    )


def _is_committed(connection: Database, token: str | int) -> bool:
    """Look for the token; the number of an older file is found nowhere, and none could say more.

    A server that crashed gives the numbers of what it lost to others.
    """
    run = connection.execute
    return run("SELECT 1 FROM writers WHERE token = ?", (str(token),)).fetchone() is not None
