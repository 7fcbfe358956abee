"""Facts that are the same on every machine of a fleet, or it would do harm."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from service.stores.many_texts import ManyTexts

_BLOCK_ROWS = 500
_SEARCHED = ("audit", "documents", "keys", "layer_slots", "rollout_epochs")

metadata = sa.MetaData()
shared_facts = sa.Table(
    "shared_facts",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)


class SharedFacts:
    """Reads and writes inside a transaction of the control store; one machine has no facts."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    @property
    def are_kept(self) -> bool:
        """Whether several machines may share this store."""
        return self._connection.dialect.name != "sqlite"

    def agree(self, name: str, value: str) -> bool:
        """Write a fact if nobody has; say whether it is this one."""
        if not self.are_kept:
            return True
        known = self._connection.scalar(
            sa.select(shared_facts.c.value).where(shared_facts.c.name == name)
        )
        if known is None:
            self._connection.execute(sa.insert(shared_facts).values(name=name, value=value))
        return known in (None, value)

    def tables_holding(self, texts: Collection[str]) -> list[str]:
        """Name the tables with a row in which one of these texts stands."""
        if not self.are_kept:
            return []
        wanted = ManyTexts([text.encode() for text in texts])
        return [table for table in _SEARCHED if self._holds(table, wanted)]

    def _holds(self, table: str, wanted: ManyTexts) -> bool:
        # A row as text, whatever its columns are.
        query = sa.text(f"SELECT t::text FROM {table} t").execution_options(yield_per=_BLOCK_ROWS)
        with self._connection.execute(query) as rows:
            return any(
                wanted.found_in("\0".join(text for (text,) in block).encode())
                for block in rows.partitions()
            )

    def replace(self, name: str, value: str) -> None:
        """Write a fact anew."""
        if self.are_kept:
            self._connection.execute(sa.delete(shared_facts).where(shared_facts.c.name == name))
            self._connection.execute(sa.insert(shared_facts).values(name=name, value=value))
