"""What each worker counted of its requests, minute by minute, added up over all workers."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from service.telemetry.request_tally import BOUNDS_MS, RequestCounts

KEPT_MS = 3_600_000
"""How long a minute is kept."""

metadata = sa.MetaData()
service_minutes = sa.Table(
    "service_minutes",
    metadata,
    sa.Column("worker", sa.Text, primary_key=True),
    sa.Column("from_ms", sa.BigInteger, primary_key=True),
    sa.Column("until_ms", sa.BigInteger, nullable=False),
    sa.Column("n_errors", sa.Integer, nullable=False),
    sa.Column("buckets", sa.Text, nullable=False),
)

_decode = msgspec.json.Decoder(list[int]).decode


class ServiceMinutes:
    """Reads and writes inside a transaction of the control store."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def append(self, worker: str, counts: RequestCounts) -> None:
        """Add what a worker counted, and drop what is too old to say anything."""
        minutes = service_minutes
        self._connection.execute(
            sa.delete(minutes).where(
                (minutes.c.until_ms < counts.until_ms - KEPT_MS)
                | ((minutes.c.worker == worker) & (minutes.c.from_ms == counts.from_ms))
            )
        )
        self._connection.execute(
            sa.insert(minutes).values(
                worker=worker,
                from_ms=counts.from_ms,
                until_ms=counts.until_ms,
                n_errors=counts.n_errors,
                buckets=msgspec.json.encode(counts.buckets).decode(),
            )
        )

    def list_since(self, since_ms: int) -> list[RequestCounts]:
        """Read what each worker counted after a moment, the oldest first."""
        found = self._connection.execute(
            sa.select(service_minutes)
            .where(service_minutes.c.from_ms >= since_ms)
            .order_by(service_minutes.c.until_ms)
        )
        return [
            RequestCounts(row.from_ms, row.until_ms, tuple(_decode(row.buckets)), row.n_errors)
            for row in found
        ]

    def sum_since(self, since_ms: int, now_ms: int) -> RequestCounts:
        """Add up what all workers counted wholly after a moment."""
        totals = [0] * (len(BOUNDS_MS) + 1)
        n_errors = 0
        found = self._connection.execute(
            sa.select(service_minutes).where(service_minutes.c.from_ms >= since_ms)
        )
        for row in found:
            buckets = _decode(row.buckets)
            if len(buckets) != len(totals):
                continue  # of a version with other bounds
            totals = [total + n for total, n in zip(totals, buckets, strict=True)]
            n_errors += row.n_errors
        return RequestCounts(since_ms, now_ms, tuple(totals), n_errors)
