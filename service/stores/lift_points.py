"""The lift of rollouts as it was known from time to time: sums say what it is, not what it was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa

metadata = sa.MetaData()
lift_points = sa.Table(
    "lift_points",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("at_ms", sa.BigInteger, primary_key=True),
    sa.Column("variant", sa.Text, primary_key=True),
    sa.Column("metric", sa.Text, primary_key=True),
    sa.Column("value", sa.Float, nullable=False),
    sa.Column("low", sa.Float, nullable=False),
    sa.Column("high", sa.Float, nullable=False),
)


class LiftPoint(NamedTuple):
    """The relative lift of one metric of a variant over all epochs up to a moment."""

    at_ms: int
    variant: str
    metric: str
    value: float
    low: float
    """Of the interval that holds at every look."""
    high: float


class LiftPoints:
    """Reads and writes inside a transaction of the control store."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def append(self, key: str, points: Sequence[LiftPoint]) -> None:
        """Keep what is known of a rollout at a moment; what was kept of that moment gives way."""
        for at_ms in {point.at_ms for point in points}:
            self._connection.execute(
                sa.delete(lift_points).where(
                    (lift_points.c.key == key) & (lift_points.c.at_ms == at_ms)
                )
            )
        if points:
            self._connection.execute(
                sa.insert(lift_points), [{"key": key, **point._asdict()} for point in points]
            )

    def span_of(self, key: str) -> tuple[int, int] | None:
        """Return the first and the last moment of a rollout; nothing before the first."""
        found = self._connection.execute(
            sa.select(sa.func.min(lift_points.c.at_ms), sa.func.max(lift_points.c.at_ms)).where(
                lift_points.c.key == key
            )
        ).one()
        return None if found[0] is None else (int(found[0]), int(found[1]))

    def list_of(self, key: str, metric: str) -> list[LiftPoint]:
        """Read the points of one metric, the oldest first."""
        rows = self._connection.execute(
            sa.select(*(lift_points.c[name] for name in LiftPoint._fields))
            .where((lift_points.c.key == key) & (lift_points.c.metric == metric))
            .order_by(lift_points.c.at_ms, lift_points.c.variant)
        )
        return [LiftPoint(*row) for row in rows]
