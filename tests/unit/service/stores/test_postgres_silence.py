"""Statements that a database does not answer do not hold up a process that stops."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from service.stores.control_postgres import connect as connect_to_control
from service.stores.event_log import PostgresLog
from service.stores.postgres import open_raw
from service.stores.postgres_address import read_address
from service.stores.postgres_silence import SilenceWatch

SOON_S = 20.0


def of_events(url: str) -> psycopg.Connection:
    return open_raw(PostgresLog(url, Path()))


def of_control(url: str) -> psycopg.Connection:
    return connect_to_control(read_address(url, "ENDCAP_CONTROL_URL"), autocommit=True)


@pytest.mark.parametrize("opened", [of_events, of_control])
def test_who_waits_for_a_silent_database_hears_that_it_has_ended(
    postgres_url: str, opened: Callable[[str], psycopg.Connection]
) -> None:
    """Within moments, not when it answers; connections on which nobody waits stay."""
    with (
        opened(postgres_url) as silent,
        opened(postgres_url) as other,
        ThreadPoolExecutor() as thread,
    ):
        begin_s = time.monotonic()
        waiting = thread.submit(silent.execute, "SELECT pg_sleep(25)")
        watch = SilenceWatch(silent_s=0.1)
        watch.begin()
        with pytest.raises(psycopg.OperationalError):
            waiting.result(SOON_S)
        watch.end()
        assert time.monotonic() - begin_s < SOON_S
        assert other.execute("SELECT 1").fetchone() == (1,)
