"""The driver of PostgreSQL behind the calls that the event store makes of SQLite's."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from models.errors import ConfigError, StoreError
from service.stores import postgres_patience
from service.stores.archiving import archive_old_days
from service.stores.control_postgres import connect as connect_control
from service.stores.event_database import connect, open_event_database, stop_listening
from service.stores.event_log import EventLog, PostgresLog
from service.stores.event_schema import metadata
from service.stores.events import Batch
from service.stores.key_mark import agree_on_pseudonyms, has_mark
from service.stores.opening import open_event_store
from service.stores.postgres import open_raw, translate
from service.stores.postgres_address import read_address
from service.stores.postgres_presence import Presence
from tests.postgres_server import PostgresServer
from tests.unit.service.intake.samples import view

SOON_S = 20.0

on_a_server = pytest.mark.parametrize("event_url", ["postgres"], indirect=True)


def holds_soon(holds: Callable[[], bool]) -> bool:
    """Wait a moment for what another thread hears."""
    end_s = time.monotonic() + 5
    while not holds():
        if time.monotonic() > end_s:
            return False
    return True


def test_marks_of_parameters_are_the_drivers() -> None:
    """Marks, names and a share stand outside of texts; a cast is no name."""
    sql = "SELECT ':a ? %', :a, ?, 5 % 2, b::text FROM x CROSS JOIN y ON x.b = :b_c"
    wanted = "SELECT ':a ? %%', %(a)s, %s, 5 %% 2, b::text FROM x JOIN y ON x.b = %(b_c)s"
    assert translate(sql) == wanted.encode()


def test_address_is_shown_without_its_password() -> None:
    """Messages and logs name user, host and database."""
    log = PostgresLog("postgresql://shop:secret@db:5433/endcap?sslmode=require", Path("home"))
    assert str(log) == "postgresql://shop@db:5433/endcap"
    assert log.with_name("x.lease") == Path("home/x.lease")


@on_a_server
def test_numbers_are_those_that_a_file_would_give(event_log: EventLog) -> None:
    """A sum of whole numbers is one, an average is none; an empty partner makes `min` empty."""
    connection = connect(event_log)
    query = """
    SELECT sum(n), avg(n), total(f), sum(n > 1), min(n, 2), max(f, 0.25)
    FROM (SELECT ? AS n, CAST(? AS REAL) AS f) AS x GROUP BY n, f
    """
    assert connection.execute(query, (3, 0.5)).fetchone() == (3, 3, 0.5, 1, 2, 0.5)
    empty = "SELECT min(seq, 5), total(price) FROM events GROUP BY seq"
    assert connection.execute(empty).fetchall() == []
    assert connection.execute("SELECT min(NULL, 5)").fetchone() == (None,)
    connection.close()


@on_a_server
def test_schema_has_the_declared_columns(event_log: EventLog, event_url: str) -> None:
    """Whoever opens it again changes nothing, and what is whole has eight bytes."""
    assert isinstance(event_log, PostgresLog)
    assert open_event_database(event_log.home, event_url) == event_log
    connection = connect(event_log)
    query = (
        "SELECT column_name, data_type FROM information_schema.columns "
        "WHERE table_schema = 'log' AND table_name = ? ORDER BY ordinal_position"
    )
    kinds = {"INTEGER": "bigint", "FLOAT": "double precision", "TEXT": "text", "BLOB": "bytea"}
    for name, table in metadata.tables.items():
        wanted = [(column.name, kinds[str(column.type)]) for column in table.columns]
        assert connection.execute(query, (name,)).fetchall() == wanted, name
    connection.close()


@on_a_server
def test_database_of_a_newer_version_is_refused(event_log: EventLog, event_url: str) -> None:
    """A schema that this code does not know is told as such."""
    connection = connect(event_log)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(StoreError, match="is not of this version"):
        open_event_database(event_log.parent, event_url)


@on_a_server
def test_commits_are_heard(event_log: EventLog) -> None:
    """A number in memory changes when another connection has written a row."""
    connection, other = connect(event_log), connect(event_log)
    # It is 0 until this process listens, which may be before it is read for the first time.
    assert holds_soon(lambda: connection.data_version() > 0)
    heard = connection.data_version()
    other.execute("INSERT INTO erasures (at_ms) VALUES (1)")
    assert holds_soon(lambda: connection.data_version() > heard)
    connection.close()
    other.close()


@on_a_server
def test_lost_connection_is_made_again(event_log: EventLog) -> None:
    """A read goes on over a new connection; a transaction that was under way is over."""
    connection, other = connect(event_log), connect(event_log)
    end = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = ?"
    )
    other.execute(end, ("client backend",))
    assert connection.execute("SELECT count(*) FROM events").fetchone() == (0,)
    connection.execute("BEGIN IMMEDIATE")
    other.execute(end, ("client backend",))
    with pytest.raises(psycopg.OperationalError):
        connection.execute("INSERT INTO erasures (at_ms) VALUES (1)")
    assert not connection.in_transaction
    assert connection.execute("SELECT count(*) FROM erasures").fetchone() == (0,)
    connection.close()
    other.close()


@on_a_server
def test_statement_goes_on_while_the_database_is_there_and_no_longer(
    event_log: EventLog, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report may take as long as it does; one that a hanging database leaves is given up."""
    answers = [True, True]
    monkeypatch.setattr(postgres_patience, "LOOK_S", 0.1)
    monkeypatch.setattr(Presence, "answers", lambda *_: answers.pop() if answers else False)
    connection = connect(event_log, read_only=True)
    with ThreadPoolExecutor(1) as thread, postgres_server.standing_still():
        reading = thread.submit(connection.execute, "SELECT 7")
        with pytest.raises(psycopg.OperationalError, match=r"not answered for 0\.1 seconds"):
            reading.result(SOON_S)
    assert answers == []
    assert connection.execute("SELECT 7").fetchone() == (7,)
    connection.close()


@on_a_server
def test_writer_is_closed_over_a_connection_that_was_lost(event_log: EventLog) -> None:
    """A server that was restarted in a quiet hour leaves no writer that seems to be killed."""
    store = open_event_store(event_log, opened_ms=1)
    store.commit(Batch([view("e1")]))
    other = connect(event_log)
    other.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    store.close(7)
    assert other.execute("SELECT closed_ms FROM writers").fetchall() == [(7,)]
    other.close()


@on_a_server
def test_defaults_of_the_database_for_others_change_nothing(
    event_log: EventLog, event_url: str
) -> None:
    """A transaction sees what was there when it got the lock, and none is ended for its length."""
    assert isinstance(event_log, PostgresLog)
    defaults = "-c default_transaction_isolation=serializable -c statement_timeout=60000"
    url = f"{event_url}&options={quote(defaults)}"
    log = open_event_database(event_log.home, url)
    connection = connect(log)
    connection.execute("BEGIN IMMEDIATE")
    assert connection.execute("SHOW transaction_isolation").fetchone() == ("read committed",)
    assert connection.execute("SHOW statement_timeout").fetchone() == ("0",)
    connection.close()


@on_a_server
def test_limit_of_the_database_for_idle_sessions_is_not_ours(
    event_log: EventLog, event_url: str
) -> None:
    """Who listens is idle for ever; each end of its session would be a warning, and a gap."""
    assert isinstance(event_log, PostgresLog)
    url = f"{event_url}&options={quote('-c idle_session_timeout=60000')}"
    ours = "SELECT setting, reset_val FROM pg_settings WHERE name = 'idle_session_timeout'"
    with open_raw(PostgresLog(url, event_log.home)) as raw:
        assert raw.execute(ours).fetchone() == ("0", "60000")
    with connect_control(read_address(url, "URL"), autocommit=True) as raw:
        assert raw.execute(ours).fetchone() == ("0", "60000")


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_database_that_cannot_hold_every_text_is_refused(
    postgres_server: PostgresServer, tmp_path: Path, encoding: str
) -> None:
    """Debian makes such ones where no language is set; the message says how to make another."""
    url = postgres_server.make_database(encoding)
    with pytest.raises(StoreError, match=f"encoding {encoding}.*createdb --encoding UTF8"):
        open_event_database(tmp_path, url)


@on_a_server
def test_machines_agree_on_pseudonyms(event_log: EventLog) -> None:
    """The first one's mark stands; another is refused, until the key was changed on purpose."""
    assert not has_mark(event_log)
    agree_on_pseudonyms(event_log, b"one")
    assert has_mark(event_log)
    agree_on_pseudonyms(event_log, b"one")
    with pytest.raises(ConfigError, match=r"copy pseudonym\.key"):
        agree_on_pseudonyms(event_log, b"two")
    agree_on_pseudonyms(event_log, b"two", is_new=True)
    agree_on_pseudonyms(event_log, b"two")


@on_a_server
def test_shared_log_is_not_archived(event_log: EventLog) -> None:
    """Files would be on one machine alone; the message says what to do instead."""
    with pytest.raises(ConfigError, match="events expire"):
        archive_old_days(event_log, 30, now_ms=4_000_000_000_000)


def test_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    """The message names the database and not the password."""
    url = f"postgresql://shop:secret@/endcap?host={tmp_path}"
    with pytest.raises(StoreError, match=r"postgresql://shop@/endcap cannot be read") as told:
        open_event_database(tmp_path, url)
    assert "secret" not in str(told.value)
    stop_listening(PostgresLog(url, tmp_path))
