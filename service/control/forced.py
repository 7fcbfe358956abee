"""The forced units of a rollout: raw ids come in, only pseudonyms are kept.

A key is ``ID`` (an id of the rollout's own unit), ``user_id:ID`` or ``anonymous_id:ID``; it is kept
as ``user_key:PSEUDONYM`` or ``anonymous_key:PSEUDONYM``, which is accepted back unchanged.
"""

from __future__ import annotations

import re
from typing import TypeVar

from models.ids import check_id
from models.pseudonym import Pseudonymiser
from service.rollouts.bucketing import UnitKind

Value = TypeVar("Value")

_KEPT = re.compile(r"(user_key|anonymous_key):[0-9a-f]{32}")
_PREFIX: dict[UnitKind, str] = {"user_id": "user_key", "anonymous_id": "anonymous_key"}


def pseudonymise_forced(
    forced: dict[str, Value], unit: UnitKind, pseudonymiser: Pseudonymiser
) -> dict[str, Value]:
    """Replace raw ids by pseudonyms.

    Raises
    ------
    IdError
        If an id breaks the rule of ids.
    """
    return {_kept(key, unit, pseudonymiser): value for key, value in forced.items()}


def kept_names(pseudonym: str) -> tuple[str, ...]:
    """Return the names under which a person may be forced."""
    return tuple(f"{prefix}:{pseudonym}" for prefix in _PREFIX.values())


def _kept(key: str, unit: UnitKind, pseudonymiser: Pseudonymiser) -> str:
    if _KEPT.fullmatch(key):
        return key
    kind, raw = unit, key
    for named in _PREFIX:
        if key.startswith(f"{named}:"):
            kind, raw = named, key.removeprefix(f"{named}:")
    check_id(raw, "forced unit")
    return f"{_PREFIX[kind]}:{pseudonymiser.pseudonym(kind, raw)}"
