"""Shares and days, as all figures of insights write them."""

from __future__ import annotations

from datetime import UTC, date, datetime


def date_of(day: int) -> date:
    """Name a day that is counted from 1970."""
    return datetime.fromtimestamp(day * 86_400, UTC).date()


def ratio(part: float, whole: float) -> float | None:
    """Divide, or return nothing where there is nothing to divide by."""
    return part / whole if whole else None
