"""Leases: of all workers of all processes at most one holds a name, until a moment."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()
leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("until_ms", sa.BigInteger, nullable=False),
)

_ITS_CLOCK_MS = sa.text("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")


class Leases:
    """Reads and writes inside a transaction of the control store."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def take(self, name: str, holder: str, *, now_ms: int, for_ms: int) -> bool:
        """Take or prolong a lease; false while another holder has it.

        One that ends later than a lease taken now was taken before the clock stepped back, and
        counts as ended: nobody waits for the time to come again. Where several machines share the
        store its own clock counts, for theirs differ.
        """
        if self._connection.dialect.name != "sqlite":
            now_ms = int(self._connection.scalar(_ITS_CLOCK_MS))
        found = self._connection.execute(
            sa.select(leases).where(leases.c.name == name)
        ).one_or_none()
        if (
            found is not None
            and found.holder != holder
            and now_ms < found.until_ms <= now_ms + for_ms
        ):
            return False
        self._connection.execute(sa.delete(leases).where(leases.c.name == name))
        self._connection.execute(
            sa.insert(leases).values(name=name, holder=holder, until_ms=now_ms + for_ms)
        )
        return True

    def give_back(self, name: str, holder: str) -> None:
        """End a lease that this holder has, so that another one need not wait."""
        self._connection.execute(
            sa.delete(leases).where(leases.c.name == name, leases.c.holder == holder)
        )
