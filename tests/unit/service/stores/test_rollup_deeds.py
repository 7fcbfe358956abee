"""Carts, orders and refunds beside the running sums."""

import sqlite3
from contextlib import closing

import psycopg
import pytest

from service.stores.event_log import EventLog
from service.stores.rollup import open_rollup


@pytest.mark.parametrize("n_values", [7, 9])
def test_server_of_an_older_release_leaves_no_row(event_log: EventLog, n_values: int) -> None:
    """It still runs beside one database, and its rows say less: nothing for what they name."""
    values = ", ".join(["1", "3", "1000", "1.0", *["NULL"] * (n_values - 4)])
    with closing(open_rollup(event_log)) as sums:
        with pytest.raises((sqlite3.OperationalError, psycopg.errors.NotNullViolation)):
            sums.execute(f"INSERT INTO deeds SELECT {values} WHERE true ON CONFLICT DO NOTHING")
        assert sums.execute("SELECT count(*) FROM deeds").fetchone()[0] == 0
