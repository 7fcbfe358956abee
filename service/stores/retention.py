"""Deletes what is older than its kind may be kept, in short transactions between those of intake.

Archived days follow the same limits: a file is written anew without what is too old.
Running sums are brought up to date first, so reports keep what they need of exposures, clicks and
grades. Carts, purchases and refunds go from the running sums too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from models.errors import ConfigError
from models.ids import list_known
from service.stores.archive_files import archive_lock, has_archive
from service.stores.banner_counts import fold_banners, open_banner_counts
from service.stores.event_database import connect, erase_thoroughly, reported
from service.stores.event_log import EventLog
from service.stores.event_schema import KIND_NAMES
from service.stores.key_filter_filling import empty
from service.stores.personal_rows import delete_counted
from service.stores.rollup import open_rollup
from service.stores.rollup_erasing import forget_deeds, forget_old_buyers

DAY_MS = 86_400_000
CHUNK = 10_000
EXPOSURE = "exposure"
PICTURE = "picture"
"""No rows: pictures that no banner names, see `service.stores.pictures`."""

_CODES = {name: code for code, name in KIND_NAMES.items()}
_DEEDS = ("add_to_cart", "purchase", "refund")
"""Kinds that the running sums keep one by one."""


def read_limits(texts: Iterable[str], *, others: tuple[str, ...] = ()) -> dict[str, int]:
    """Read `view=90` and the like as days by kind; `others` are kinds that are no rows.

    Raises
    ------
    ConfigError
        If a kind is not known or its days are no number from 1.
    """
    limits = {}
    kinds = [EXPOSURE, *_CODES, *others]
    for text in texts:
        kind, _, days = text.partition("=")
        if kind not in kinds:
            raise ConfigError(
                f"--keep {text!r} names no kind; {list_known(kinds)}; write for example view=90"
            )
        if not days.isascii() or not days.isdigit() or int(days) < 1:
            raise ConfigError(f"--keep {text!r} wants whole days from 1, such as {kind}=90")
        limits[kind] = int(days)
    return limits


def expire_rows(
    path: EventLog,
    limits_days: Mapping[str, int],
    *,
    now_ms: int,
    is_stopped: Callable[[], bool] = lambda: False,
) -> dict[str, int]:
    """Delete the rows that arrived before the limit of their kind, and count them by kind.

    Once `is_stopped`, the chunk under way is the last one.

    Raises
    ------
    StoreError
        If the store or a file cannot be written; the chunks before stay deleted.
    """
    is_archived = has_archive(path)
    if is_archived:
        from service.stores.archiving import finish_moves  # noqa: PLC0415  # loads PyArrow

        with archive_lock(path):
            finish_moves(path)
    open_rollup(path).close()
    with open_banner_counts(path, waits=True) as counts:
        fold_banners(counts, now_ms)
    if "purchase" in limits_days:
        forget_old_buyers(path, now_ms - limits_days["purchase"] * DAY_MS)
    deleted = {
        kind: _expire(path, kind, now_ms - days * DAY_MS, is_stopped)
        for kind, days in limits_days.items()
    }
    if any(deleted.values()):
        empty(path)
    if is_archived:
        for kind, days in limits_days.items():
            deleted[kind] += _expire_archived(path, kind, now_ms - days * DAY_MS, is_stopped)
    return deleted


def _expire(path: EventLog, kind: str, before_ms: int, is_stopped: Callable[[], bool]) -> int:
    if kind == EXPOSURE:
        table, condition, values = "exposures", "at_ms < ?", [before_ms]
    else:
        table, condition = "events", "received_ms < ? AND kind = ?"
        values = [before_ms, _CODES[kind]]
    n_deleted, last = 0, 0
    with reported(path):
        connection = connect(path)
        try:
            erase_thoroughly(connection)
            while not is_stopped():
                # Nobody archives a row between its being found and its being deleted.
                with archive_lock(path):
                    rows = connection.execute(
                        f"SELECT seq FROM {table} WHERE {condition} AND seq > ? "
                        f"ORDER BY seq LIMIT {CHUNK}",
                        [*values, last],
                    ).fetchall()
                    if not rows:
                        break
                    connection.execute("BEGIN IMMEDIATE")
                    n_deleted += delete_counted(connection, table, rows)
                    connection.execute("COMMIT")
                if kind in _DEEDS:
                    forget_deeds(path, [seq for (seq,) in rows])
                last = rows[-1][0]
        finally:
            connection.close()
    return n_deleted


def _expire_archived(
    path: EventLog, kind: str, before_ms: int, is_stopped: Callable[[], bool]
) -> int:
    from service.stores.archive_removal import expire_archived  # noqa: PLC0415  # loads PyArrow

    def forget(seqs: list[int]) -> None:
        if kind in _DEEDS:
            forget_deeds(path, seqs)

    return expire_archived(
        path,
        "exposures" if kind == EXPOSURE else "events",
        _CODES.get(kind),
        before_ms,
        on_gone=forget,
        is_stopped=is_stopped,
    )
