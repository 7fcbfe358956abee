"""Exploration: a small, explicit share of the positions given to chance, with exact propensities.

Every position draws for itself, and the entries that chance may put there are its own: so no draw
depends on another, and the propensity of what stands at a position needs no simulation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import shake_128
from typing import TypeVar

MS_PER_HOUR = 3_600_000

_DRAW_BYTES = 16  # 8 decide whether chance has its way, 8 decide what it takes
_WHOLE = float(2**64)

T = TypeVar("T")


def draw_seed(
    unit_kind: str,
    unit_key: str,
    placement_id: str,
    now_ms: int,
    period_ms: int = MS_PER_HOUR,
    *,
    resting: Iterable[str] = (),
) -> bytes:
    """Name the draws of one unit in one placement in one hour, so a reload never flickers.

    Which banners are `resting` follows from what was drawn before: with the same draws again, what
    takes their place would not stand there as often as its propensity says.
    """
    parts = (unit_kind, unit_key, placement_id, str(now_ms // period_ms), *sorted(resting))
    encoded = [part.encode() for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


def explore(
    chosen: Sequence[T], pools: Sequence[Sequence[T]], share: float, seed: bytes
) -> list[tuple[T, float, bool]]:
    """Give each position to chance with probability `share`.

    Parameters
    ----------
    chosen : sequence, length k
        What stands at each position otherwise.
    pools : sequence of sequences, length k
        What chance may put at each position; no entry is in two pools or in `chosen`.
    share : float
        0 to 1.
    seed : bytes
        From `draw_seed`.

    Returns
    -------
    list of (entry, propensity, whether chance put it there), length k
        Of a position with n entries in its pool the chosen one has propensity ``1 - share`` and
        each of the pool ``share / n``; without a pool the chosen one has 1.
    """
    draws = shake_128(seed).digest(_DRAW_BYTES * len(chosen))
    slate: list[tuple[T, float, bool]] = []
    for position, (entry, pool) in enumerate(zip(chosen, pools, strict=True)):
        begin = position * _DRAW_BYTES
        if not pool:
            slate.append((entry, 1.0, False))
        elif int.from_bytes(draws[begin : begin + 8], "big") / _WHOLE >= share:
            slate.append((entry, 1.0 - share, False))
        else:
            place = int.from_bytes(draws[begin + 8 : begin + 16], "big") * len(pool) >> 64
            slate.append((pool[place], share / len(pool), True))
    return slate
