"""How numbers and times are written on a page: the filters of the templates."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from models.plural import plural

_UNITS = (
    (86_400 * 365, "year"),
    (86_400 * 30, "month"),
    (86_400, "day"),
    (3_600, "hour"),
    (60, "minute"),
)
NONE = "–"
_LARGE = 1_000


def percent(share: float | None, digits: int = 1) -> str:
    """Write a share of 0..1 as 12.5 %, without zeros that say nothing."""
    if share is None:
        return NONE
    text = f"{share * 100:,.{digits}f}"
    return f"{_plain(text)} %"


def signed_percent(share: float | None, digits: int = 1) -> str:
    """Write a change as +3.2 %."""
    if share is None:
        return NONE
    return f"{'+' if share > 0 else '−' if share < 0 else '±'}{percent(abs(share), digits)}"


def spaced_percent(text: str) -> str:
    """Write the percentages of a sentence that other places show too as the console's own."""
    return re.sub(r"(?<=\d)%", " %", text)


def number(value: float) -> str:
    """Write a number of a field without zeros that say nothing."""
    return _plain(f"{value:.4f}")


def exact(value: float) -> str:
    """Write a number of a field to its last digit, so that it comes back as it was."""
    return f"{value:.0f}" if value == int(value) else repr(value)


def amount(value: float) -> str:
    """Write a price to read: thousands apart, without zeros that say nothing."""
    return _plain(f"{value:,.4f}")


def count(number: float | None) -> str:
    """Write a number with its thousands apart."""
    return NONE if number is None else f"{number:,.0f}"


def total(amount: float) -> str:
    """Write a sum of money: its cents too, as long as they are a part of it that one sees."""
    return decimal(amount) if abs(amount) < _LARGE else count(amount)


def decimal(number: float | None, digits: int = 2) -> str:
    """Write a number with thousands apart and so many digits behind the point."""
    return NONE if number is None else f"{number:,.{digits}f}"


def milliseconds(ms: float | None) -> str:
    """Write a short time."""
    if ms is None:
        return NONE
    return f"{ms / 1000:.1f} s" if ms >= 1000 else f"{ms:.3g} ms"


def span(ms: float | None) -> str:
    """Write how long something lasts, in its largest unit: 3 days."""
    if ms is None:
        return NONE
    seconds = abs(ms) / 1000
    for length, unit in _UNITS:
        n = int(seconds // length)
        if n:
            return f"{n} {unit}{'s' if n > 1 else ''}"
    return f"{int(seconds)} s"


def ago(at_ms: int | None, now_ms: int) -> str:
    """Write how long ago something was, or in how long it will be."""
    if at_ms is None:
        return NONE
    if abs(now_ms - at_ms) < 10_000:
        return "just now"
    return f"{span(now_ms - at_ms)} ago" if at_ms < now_ms else f"in {span(at_ms - now_ms)}"


def moment(at: int | datetime | None) -> Markup | str:
    """Write a moment in UTC, which a script may show in the reader's own time."""
    if at is None:
        return NONE
    when = at.astimezone(UTC) if isinstance(at, datetime) else datetime.fromtimestamp(at / 1e3, UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        when.strftime("%Y-%m-%dT%H:%M:%SZ"), when.strftime("%Y-%m-%d %H:%M UTC")
    )


def utc_minute(at_ms: float) -> str:
    """Write a moment for a table or a file, whose heading says UTC: 2026-12-24 18:00."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M}"


def pretty_json(value: Any) -> str:
    """Write a document for people."""
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=False)


def sentence(text: str) -> str:
    """Write what the interface says with a capital letter."""
    return text[:1].upper() + text[1:]


FILTERS = {
    "sentence": sentence,
    "percent": percent,
    "signed_percent": signed_percent,
    "count": count,
    "number": number,
    "spaced_percent": spaced_percent,
    "decimal": decimal,
    "milliseconds": milliseconds,
    "span": span,
    "moment": moment,
    "pretty_json": pretty_json,
    "plural": plural,
    "total": total,
}


def _plain(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text
