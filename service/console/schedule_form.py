"""A schedule in a form: local times on the clock of a named zone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from service.console.form import Form, FormError
from service.rollouts.schedule import schedule_ms

ZONES = (
    "UTC",
    "Asia/Dubai",
    "Asia/Riyadh",
    "Asia/Qatar",
    "Asia/Kuwait",
    "Africa/Cairo",
    "Europe/Istanbul",
    "Europe/London",
    "Europe/Berlin",
    "Europe/Paris",
    "Europe/Madrid",
    "Asia/Kolkata",
    "Asia/Singapore",
    "Asia/Shanghai",
    "Asia/Tokyo",
    "Australia/Sydney",
    "America/New_York",
    "America/Chicago",
    "America/Los_Angeles",
    "America/Sao_Paulo",
)
"""Offered; any other name may be written."""


def show_schedule(
    starts_at: datetime | None, ends_at: datetime | None, time_zone: str | None
) -> dict[str, str]:
    """Write a schedule for the inputs of a form.

    It is on the clock of UTC where that of its zone would show an hour for the second time, when
    clocks are put back: an input has no offset, and is read as the first time.
    """
    zone = time_zone or "UTC"
    moments = [None if one is None else on_clock(one, zone) for one in (starts_at, ends_at)]
    if any(one is not None and one.fold for one in moments):
        zone = "UTC"
    starts, ends = ("" if one is None else written_moment(on_clock(one, zone)) for one in moments)
    return {"starts_at": starts, "ends_at": ends, "time_zone": zone}


def on_clock(moment: datetime, zone: str) -> datetime:
    """Return a moment as the clock of a zone shows it; without an offset it is on that clock."""
    clock = UTC if zone == "UTC" else ZoneInfo(zone)
    return moment.replace(tzinfo=clock) if moment.tzinfo is None else moment.astimezone(clock)


def read_schedule(form: Form) -> dict[str, Any]:
    """Read a schedule as a document has it; without times there is no zone either.

    Raises
    ------
    FormError
        If nobody knows the zone, whether or not there are times.
    """
    check_zone(form)
    starts_at, ends_at = _typed(form, "starts_at"), _typed(form, "ends_at")
    if starts_at is None and ends_at is None:
        return {"starts_at": None, "ends_at": None, "time_zone": None}
    return {
        "starts_at": starts_at,
        "ends_at": ends_at,
        "time_zone": form.text("time_zone") or "UTC",
    }


def written_moment(moment: datetime) -> str:
    """Write a date and time as an input has it; its seconds too, where it has some."""
    return moment.replace(tzinfo=None).isoformat(timespec="seconds" if moment.second else "minutes")


def check_zone(form: Form) -> None:
    """Raise `FormError` unless the zone that was typed is known."""
    zone = form.optional("time_zone")
    try:
        schedule_ms(None, None, zone)
    except ValueError:
        raise FormError(
            "time_zone", f"{zone!r} is not a time zone; write one such as Asia/Dubai or UTC"
        ) from None


def schedule_words(
    starts_at: datetime | None, ends_at: datetime | None, time_zone: str | None
) -> str:
    """Say when something holds, on the clock of its zone; nothing if it always does."""
    shown = show_schedule(starts_at, ends_at, time_zone)
    told = [
        f"{word} {shown[name].replace('T', ' ')}"
        for word, name in (("from", "starts_at"), ("until", "ends_at"))
        if shown[name]
    ]
    return " ".join([*told, shown["time_zone"]]) if told else ""


def state_of(
    starts_at: datetime | None,
    ends_at: datetime | None,
    time_zone: str | None,
    *,
    now_ms: int,
    is_on: bool,
) -> tuple[str, str]:
    """Say in a word whether something is in effect, and the tone of its badge."""
    if not is_on:
        return "off", ""
    starts_ms, ends_ms = schedule_ms(starts_at, ends_at, time_zone)
    if now_ms < starts_ms:
        return "scheduled", "info"
    return ("ended", "") if now_ms >= ends_ms else ("live", "good")


def _typed(form: Form, name: str) -> str | None:
    """Return what a browser sends of a date and time, with the seconds that it leaves out."""
    text = form.optional(name)
    return f"{text}:00" if text is not None and len(text) == len("2026-12-24T18:00") else text
