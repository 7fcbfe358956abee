"""Events through HTTP on one worker, beside plain `sqlite3` with the same rows in the same run."""

from __future__ import annotations

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import msgspec

from models.events import Event
from models.pseudonym import load_pseudonymiser
from service.intake.identify import store_form
from service.stores.event_database import open_event_database
from service.stores.events import StoredEvent
from tests.benchmarks.events.large_log import START_MS
from tests.end_to_end.running_server import run_server

BATCH = 100
CLIENTS = 8


class Intake(msgspec.Struct, frozen=True, kw_only=True):
    """Durable events a second, both ways."""

    events: int
    http_a_second: float
    sqlite_a_second: float
    ratio: float


def measure_intake(folder: Path, n_events: int) -> Intake:
    """Store the same events with the service and with plain `sqlite3`, in batches of 100.

    Plain is half before and half after, for a machine is not as quick all the time.
    """
    batches = [
        [_event(i) for i in range(first, first + BATCH)] for first in range(0, n_events, BATCH)
    ]
    home = folder / "home"
    home.mkdir(parents=True)
    half = len(batches) // 2
    seconds_plain = _plain(folder / "plain", batches[:half])
    with run_server(home) as server:
        bodies = [msgspec.json.encode(batch) for batch in batches]
        started = time.perf_counter()
        with ThreadPoolExecutor(CLIENTS) as pool:
            counts = pool.map(
                lambda part: _send(server.address, server.keys["publishable"], part),
                [bodies[client::CLIENTS] for client in range(CLIENTS)],
            )
            n_stored = sum(counts)
        seconds = time.perf_counter() - started
    seconds_plain += _plain(folder / "plain", batches[half:])
    assert n_stored == n_events
    return Intake(
        events=n_events,
        http_a_second=n_events / seconds,
        sqlite_a_second=n_events / seconds_plain,
        ratio=seconds_plain / seconds,
    )


def _send(address: str, key: str, bodies: list[bytes]) -> int:
    """Send bodies one after another on one connection, again where the buffer is full."""
    n_accepted = 0
    with httpx.Client(verify=False, headers={"X-API-Key": key}, timeout=30) as client:
        for body in bodies:
            while True:
                answer = client.post(address + "/v1/events", content=body)
                if answer.status_code != 429:
                    break
            assert answer.status_code == 202, answer.text
            n_accepted += answer.json()["accepted"]
    return n_accepted


def _event(i: int) -> dict[str, Any]:
    return {
        "event": "view",
        "event_id": f"event-{i:09d}",
        "user_id": f"user-{i % 5_000}",
        "anonymous_id": f"visitor-{i % 9_000}",
        "session_id": f"session-{i % 20_000}",
        "item_id": f"item-{i % 3_000}",
        "country": "DE",
        "platform": "web",
    }


def _plain(folder: Path, batches: list[list[dict[str, Any]]]) -> float:
    """Commit each batch of rows, as the service stores them, to the same table, as durable.

    Without looking for repeats, without a ledger, and with the rows made beforehand. Returns
    seconds.
    """
    folder.mkdir(exist_ok=True)
    path = open_event_database(folder)
    pseudonymiser = load_pseudonymiser(folder)
    rows = [
        [
            store_form(
                msgspec.convert(event, Event), pseudonymiser=pseudonymiser, received_ms=START_MS
            )
            for event in batch
        ]
        for batch in batches
    ]
    columns = ", ".join(StoredEvent._fields)
    marks = ", ".join("?" * len(StoredEvent._fields))
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    started = time.perf_counter()
    for batch in rows:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(f"INSERT INTO events ({columns}) VALUES ({marks})", batch)
        connection.execute("COMMIT")
    seconds = time.perf_counter() - started
    connection.close()
    return seconds
