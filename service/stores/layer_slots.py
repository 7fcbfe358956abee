"""Who owns which slot of which layer. One row a slot, so the database lets no two rollouts own it.

A slot given back keeps its row, without an owner, for as long as it has to rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

metadata = sa.MetaData()
layer_slots = sa.Table(
    "layer_slots",
    metadata,
    sa.Column("layer", sa.Text, primary_key=True),
    sa.Column("slot", sa.Integer, primary_key=True),
    sa.Column("owner", sa.Text),
    sa.Column("last_owner", sa.Text, nullable=False),
    sa.Column("freed_at_ms", sa.BigInteger),
)


@dataclass(frozen=True, slots=True)
class StoredSlot:
    """A slot that has, or had, an owner."""

    slot: int
    owner: str | None
    last_owner: str
    freed_at_ms: int | None


class LayerSlots:
    """Reads and writes inside a transaction of the control store."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def list(self, layer: str) -> list[StoredSlot]:
        """Read every slot that has, or had, an owner, in order."""
        rows = self._connection.execute(
            sa.select(layer_slots).where(layer_slots.c.layer == layer).order_by(layer_slots.c.slot)
        )
        return [StoredSlot(row.slot, row.owner, row.last_owner, row.freed_at_ms) for row in rows]

    def free(self, owner: str, now_ms: int, *, keep: tuple[str, frozenset[int]] | None) -> None:
        """Give back every slot of a rollout but those of `keep`, a layer and its slots."""
        rows = self._connection.execute(
            sa.select(layer_slots.c.layer, layer_slots.c.slot).where(layer_slots.c.owner == owner)
        ).all()
        layer, kept = keep or ("", frozenset())
        for row in rows:
            if row.layer != layer or row.slot not in kept:
                self._connection.execute(
                    sa.update(layer_slots)
                    .where(layer_slots.c.layer == row.layer, layer_slots.c.slot == row.slot)
                    .values(owner=None, freed_at_ms=now_ms)
                )

    def claim(self, layer: str, slots: Iterable[int], owner: str) -> None:
        """Make a rollout the owner of slots that nobody owns; another owner breaks the key."""
        wanted = sorted(slots)
        if not wanted:
            return
        self._connection.execute(
            sa.delete(layer_slots).where(
                layer_slots.c.layer == layer,
                layer_slots.c.slot.in_(wanted),
                layer_slots.c.owner.is_(None),
            )
        )
        self._connection.execute(
            sa.insert(layer_slots),
            [
                {"layer": layer, "slot": slot, "owner": owner, "last_owner": owner}
                for slot in wanted
            ],
        )

    def forget(self, layer: str) -> None:
        """Drop the rests of a layer that is deleted."""
        self._connection.execute(sa.delete(layer_slots).where(layer_slots.c.layer == layer))
