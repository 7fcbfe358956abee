"""Reads consent where another product's client wrote it: in doubt it was not given."""

from __future__ import annotations

from collections.abc import Mapping

from service.intake.messages import text

_YES = frozenset({"true", "granted", "yes", "1"})


def is_yes(value: object) -> bool:
    """Say whether a value clearly grants consent, in upper or lower case."""
    if isinstance(value, bool):
        return value
    return (text(value) or "").lower() in _YES


def in_call(value: object) -> bool:
    """Read `context.consent` of Segment and RudderStack: nothing said is no refusal.

    One category that was allowed is enough.
    """
    if value is None:
        return True
    if not isinstance(value, Mapping):
        return is_yes(value)
    categories = value.get("categoryPreferences")
    return isinstance(categories, Mapping) and any(map(is_yes, categories.values()))


def in_ga4(value: object) -> bool:
    """Read `consent` of GA4: nothing said is no refusal.

    `ad_personalization` decides; without it, all that is named has to be granted.
    """
    if value is None:
        return True
    if not isinstance(value, Mapping):
        return is_yes(value)
    personal = value.get("ad_personalization")
    named = list(value.values()) if personal is None else [personal]
    return bool(named) and all(map(is_yes, named))
