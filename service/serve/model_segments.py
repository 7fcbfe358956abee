"""The segments that the trainer found, as rollouts ask for them: beside the uploaded lists."""

from __future__ import annotations

from collections.abc import Mapping

from models.snapshot import UserTable
from models.vocabulary import MISSING_ROW
from service.rollouts.visitor import Members

KnownBy = tuple[str | None, str | None]
"""Pseudonyms of a shopper: of the user, and of the device."""


class ModelSegment:
    """One segment of a snapshot's users."""

    __slots__ = ("_row", "_users")

    def __init__(self, users: UserTable, row: int) -> None:
        self._users = users
        self._row = row

    def has(self, user_key: str | None, anonymous_key: str | None) -> bool:
        """Say whether the user, else the device, was in the segment when the model was trained."""
        row = user_row(self._users, user_key, anonymous_key)
        return row != MISSING_ROW and self._row in self._users.segments[row].tolist()


def user_row(users: UserTable, user_key: str | None, anonymous_key: str | None) -> int:
    """Find the row of the user, else of the device; the trainer knows both by pseudonym."""
    for key in (user_key, anonymous_key):
        row = MISSING_ROW if key is None else users.ids.row(key)
        if row != MISSING_ROW:
            return row
    return MISSING_ROW


def all_segments(uploaded: Mapping[str, Members], users: UserTable) -> Mapping[str, Members]:
    """Join the uploaded lists and the segments of a model; a list goes before its namesake."""
    found: dict[str, Members] = {
        key: ModelSegment(users, row) for row, key in enumerate(users.segment_keys)
    }
    return {**found, **uploaded}
