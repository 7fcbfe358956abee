"""Which orders the shop's server told of, and who bought them where only the browser says it.

Whoever reads lines one by one, as the export does, asks here: a browser's line of such an order is
no line of its own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from types import TracebackType
from typing import NamedTuple, Self

from models.events import InteractionKind
from service.stores.event_log import Database
from service.stores.event_schema import EventFlag

_BY_SERVER = int(EventFlag.BY_SERVER)
_UNCOUNTED = int(EventFlag.BOT | EventFlag.PREVIEW)
_ROWS_AT_ONCE = 50_000

_OF_ORDERS = f"""
FROM events WHERE kind = {InteractionKind.PURCHASE.value} AND order_id IS NOT NULL
AND flags & {_UNCOUNTED} = 0"""
_TOLD = f"SELECT DISTINCT order_id {_OF_ORDERS} AND flags & {_BY_SERVER} <> 0"
# A user goes before a visitor, and of two of a kind it does not matter what arrived first.
_BUYERS = f"""
SELECT min(user_key), min(anonymous_key), min(session_key), order_id {_OF_ORDERS}
AND flags & {_BY_SERVER} = 0 AND coalesce(user_key, anonymous_key) IS NOT NULL
GROUP BY order_id"""


class Buyer(NamedTuple):
    """Pseudonyms of who bought, as a browser's lines name them."""

    user_key: str | None = None
    anonymous_key: str | None = None
    session_key: str | None = None


class ToldOrders:
    """Read all logs with `find`, then again with `find_buyers`, then ask.

    Kept in a file without a name and not in memory, for there may be as many as orders.
    """

    def __init__(self) -> None:
        self._orders = sqlite3.connect("", isolation_level=None)
        self._orders.execute(
            "CREATE TABLE orders (order_id TEXT PRIMARY KEY, user_key TEXT, anonymous_key TEXT, "
            "session_key TEXT) WITHOUT ROWID"
        )
        self.any = False
        """Whether there is one; nothing else needs to be asked where there is none."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._orders.close()

    def find(self, log: Database) -> None:
        """Note the orders of which a log has lines of the shop's server."""
        for rows in log.stream(_TOLD, (), _ROWS_AT_ONCE):
            self.any = True
            self._orders.executemany("INSERT OR IGNORE INTO orders (order_id) VALUES (?)", rows)

    def find_buyers(self, log: Database) -> None:
        """Note who bought these orders, as far as a browser's lines in a log say it."""
        for rows in log.stream(_BUYERS, (), _ROWS_AT_ONCE):
            self._orders.executemany(
                "UPDATE orders SET user_key = coalesce(min(user_key, ?1), user_key, ?1), "
                "anonymous_key = coalesce(min(anonymous_key, ?2), anonymous_key, ?2), "
                "session_key = coalesce(min(session_key, ?3), session_key, ?3) WHERE order_id = ?4",
                rows,
            )

    def buyers(self, order_ids: Iterable[str]) -> dict[str, Buyer]:
        """Return, of these orders, those that the server told of, and who a browser says bought."""
        found = {}
        for order_id in order_ids:
            row = self._orders.execute(
                "SELECT user_key, anonymous_key, session_key FROM orders WHERE order_id = ?",
                (order_id,),
            ).fetchone()
            if row is not None:
                found[order_id] = Buyer._make(row)
        return found
