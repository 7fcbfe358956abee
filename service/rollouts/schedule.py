"""When something holds: a start and an end, as moments or as local times of a named time zone."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Meta

UtcTime = Annotated[datetime, Meta(tz=True, description="ISO 8601 with an offset")]
ScheduleTime = Annotated[
    datetime,
    Meta(description="ISO 8601 with an offset, or without one as the local time of `time_zone`"),
]
TimeZone = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        description="IANA name, `Asia/Dubai`, of local times in the schedule",
    ),
]

FOREVER_MS = 1 << 62


def check_schedule(
    starts_at: datetime | None, ends_at: datetime | None, time_zone: str | None
) -> None:
    """Raise `ValueError` unless both moments are known and the start lies before the end."""
    starts_ms, ends_ms = schedule_ms(starts_at, ends_at, time_zone)
    if starts_at is not None and ends_at is not None and ends_ms <= starts_ms:
        raise ValueError(
            f"ends_at {ends_at.isoformat()} is not after starts_at {starts_at.isoformat()}; "
            "swap them or leave one out"
        )


def schedule_ms(
    starts_at: datetime | None, ends_at: datetime | None, time_zone: str | None
) -> tuple[int, int]:
    """Return first ms in the schedule and first ms after it; an open end is beyond any clock.

    A local time that a clock change leaves out or repeats is read with the offset before it.

    Raises
    ------
    ValueError
        If the time zone is unknown, or a time has neither an offset nor a zone.
    """
    if time_zone is not None:
        _zone(time_zone)
    starts_ms = -FOREVER_MS if starts_at is None else _to_ms("starts_at", starts_at, time_zone)
    ends_ms = FOREVER_MS if ends_at is None else _to_ms("ends_at", ends_at, time_zone)
    return starts_ms, ends_ms


def _to_ms(name: str, moment: datetime, time_zone: str | None) -> int:
    if moment.tzinfo is None:
        if time_zone is None:
            raise ValueError(
                f"{name} {moment.isoformat()} has no offset; write {moment.isoformat()}Z, "
                "or name the time_zone whose clock it is on"
            )
        moment = moment.replace(tzinfo=_zone(time_zone))
    return int(moment.timestamp() * 1000)


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(
            f"time_zone {name!r} is not known; use an IANA name such as 'Asia/Dubai' or 'UTC'"
        ) from error
