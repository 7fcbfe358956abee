"""Facts that are the same on every machine of a fleet, or it would do harm."""

from __future__ import annotations

import sqlalchemy as sa

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

    def replace(self, name: str, value: str) -> None:
        """Write a fact anew."""
        if self.are_kept:
            self._connection.execute(sa.delete(shared_facts).where(shared_facts.c.name == name))
            self._connection.execute(sa.insert(shared_facts).values(name=name, value=value))
