"""Ids of requests and exposures: they rise with time, and nobody can guess one.

Clients see many of them, so their random part is the system's: of an ordinary generator, such as
`random.Random`, some 250 ids tell all that follow.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

_DRAWN_AT_ONCE = 64
"""Random parts of ids."""


def id_maker(
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    draw: Callable[[int], bytes] = os.urandom,
) -> Callable[[], str]:
    """Return a maker of 128-bit ids in hexadecimal; `draw` gives it so many random bytes.

    48 bits of time, then 80 random ones: ids rise, so an index of them grows at its end.
    """
    tails: list[str] = []
    at_ms, head = -1, ""

    def make_id() -> str:
        nonlocal at_ms, head
        now = now_ms()
        if now != at_ms:
            at_ms, head = now, f"{now:012x}"
        if not tails:
            drawn = draw(10 * _DRAWN_AT_ONCE).hex()
            tails.extend([drawn[at : at + 20] for at in range(0, len(drawn), 20)])
        return head + tails.pop()

    return make_id
