"""The attribution window: how long after an exposure an unnamed deed is still put down to it.

The running sums hold it, so whoever adds to them uses the same; the server, whose setting it is,
writes it there. What was counted before stays as it was counted.
"""

from __future__ import annotations

from service.stores.derived import transaction
from service.stores.event_log import Database

DAY_MS = 86_400_000
DEFAULT_DAYS = 7
MAX_DAYS = 90

_NAME = "attribution_days"
_READ = f"SELECT seq FROM progress WHERE name = '{_NAME}'"
_WRITE = f"""
INSERT INTO progress VALUES ('{_NAME}', ?)
ON CONFLICT (name) DO UPDATE SET seq = excluded.seq
"""


def read_window_days(sums: Database) -> int:
    """Return the window of running sums (`rollup.open_rollup`), in days."""
    found = sums.execute(_READ).fetchone()
    return DEFAULT_DAYS if found is None else int(found[0])


def set_window_days(sums: Database, days: int) -> bool:
    """Have what is added from now on put down within so many days; tell whether that is a change.

    Raises
    ------
    Exception
        As the driver says it; then nothing has changed.
    """
    if read_window_days(sums) == days:
        return False
    with transaction(sums):
        sums.execute(_WRITE, (days,))
    return True
