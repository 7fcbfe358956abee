"""A handover: shoppers who are known come to a new model a few at a time, not all at once.

Under a new model every shopper is new once, which costs several times what a page else does. So
for some seconds a page of someone whose profile of the model before still stands may be answered
from that model, whole and under its name; the others have the new one at once.
"""

from __future__ import annotations

from service.serve.shelf import Shelf

MOVING_SHARE = 0.1
"""Share of the time that may go into shoppers' first pages under the new model in the end. It grows
from nothing: the longer ago the swap, the more of them are worked out already, and cheap."""
AT_ONCE_S = 0.002
"""And how much of it before any time has passed."""
HANDOVER_S = 60.0
"""After which the model before answers nobody."""


class Handover:
    """The shelf of the model before, and how much may be spent on leaving it."""

    __slots__ = ("_began_s", "_spent_s", "before")

    def __init__(self, before: Shelf, now_s: float) -> None:
        self.before = before
        self._began_s = now_s
        self._spent_s = 0.0

    def is_over(self, now_s: float) -> bool:
        """Whether everybody is to have the new model."""
        return now_s - self._began_s > HANDOVER_S

    def has_room(self, now_s: float) -> bool:
        """Whether one more shopper may move now."""
        passed_s = now_s - self._began_s
        return self._spent_s <= AT_ONCE_S + MOVING_SHARE * passed_s * passed_s / (2 * HANDOVER_S)

    def charge(self, spent_s: float) -> None:
        """Count what a shopper's first page under the new model took."""
        self._spent_s += spent_s
