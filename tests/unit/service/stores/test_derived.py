"""Tables of sums that several processes make: once, whoever comes first."""

import threading

from service.stores.derived import make_tables
from service.stores.event_database import connect_derived
from service.stores.event_log import BANNERS, EventLog

TABLES = "CREATE TABLE marks (mark INTEGER)"
N_PROCESSES, N_TURNS = 3, 5


def test_tables_that_several_make_at_once_are_made_once(event_log: EventLog) -> None:
    """What one has put into them is there when all have opened them, version after version."""
    for version in range(1, N_TURNS + 1):
        together = threading.Barrier(N_PROCESSES)

        def open_and_mark(version: int = version, together: threading.Barrier = together) -> None:
            connection = connect_derived(event_log, BANNERS, busy_timeout_ms=20_000)
            try:
                together.wait(20)
                make_tables(connection, BANNERS, version, TABLES)
                connection.execute("INSERT INTO marks VALUES (?)", (version,))
            finally:
                connection.close()

        threads = [threading.Thread(target=open_and_mark) for _ in range(N_PROCESSES)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        connection = connect_derived(event_log, BANNERS, busy_timeout_ms=20_000)
        marks = connection.execute("SELECT mark FROM marks").fetchall()
        connection.close()
        assert [mark for (mark,) in marks] == [version] * N_PROCESSES
