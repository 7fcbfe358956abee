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


def in_call(context: Mapping[str, object]) -> bool:
    """Read the `context` of Segment's and RudderStack's messages: nothing said is no refusal.

    Segment has `consent`, RudderStack `consentManagement`; who has both has to agree in both.
    """
    return _in_consent(context.get("consent")) and _in_categories(context.get("consentManagement"))


def _in_consent(value: object) -> bool:
    """Read a yes, or categories: all of them have to be allowed, as which is ours is not said."""
    if value is None:
        return True
    if not isinstance(value, Mapping):
        return is_yes(value)
    categories = value.get("categoryPreferences")
    if not isinstance(categories, Mapping) or not categories:
        return False
    return all(map(is_yes, categories.values()))


def _in_categories(value: object) -> bool:
    """Read the ids of the categories that were allowed and denied: none may be denied.

    Which of them is ours is not said, and what is strictly necessary is always allowed, so one that
    was allowed tells nothing. Older libraries name those denied only.
    """
    if value is None:
        return True
    if not isinstance(value, Mapping) or value.get("deniedConsentIds"):
        return False
    return bool(value.get("allowedConsentIds", value.get("deniedConsentIds") == []))


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
