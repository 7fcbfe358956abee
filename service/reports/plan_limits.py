"""What a plan may be asked, whichever way it is, and how its days are written."""

from __future__ import annotations

import math

from models.errors import InputError
from service.reports.plan import Question

SMALLEST = 1e-9
LARGEST = 1e15
"""Whatever is larger was not meant; between the two no step of a plan overflows."""
LONGEST_DAYS = 3650
WHOLE_DAYS = 100
"""From here on a tenth of a day says nothing."""


def check_numbers(question: Question) -> Question:
    """Return a question all of whose numbers can be counted with; `make_plan` checks their ranges.

    Raises
    ------
    InputError
        If one is not finite, or too large or too near to 0 to mean anything.
    """
    for name in ("lift", "power", "share", "baseline", "units_per_day"):
        value: float | None = getattr(question, name)
        if value is None or value == 0:
            continue
        if not math.isfinite(value):
            raise InputError(f"{name} {value:g} is not a finite number; write it as 0.05")
        if not SMALLEST <= abs(value) <= LARGEST:
            raise InputError(
                f"{name} {value:g} is beyond what can be planned; its size is between "
                f"{SMALLEST:g} and {LARGEST:g}"
            )
    return question


def write_days(days: float | None) -> str:
    """Write how long it takes; nothing where nobody comes yet."""
    if days is None:
        return ""
    if days > LONGEST_DAYS:
        return "more than 10 years"
    return f"{days:,.1f}" if days < WHOLE_DAYS else f"{days:,.0f}"
